package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// askTimeout bounds one request to one node.
const askTimeout = 3 * time.Second

// errNoLeader: nobody that answers leads, or knows who does.
var errNoLeader = errors.New("no leader answers")

// errNoAnswer: the request did not reach the node, or its answer did not come. What
// the mesh says of that node is no answer to what it was asked.
var errNoAnswer = errors.New("no answer")

// A code is the first byte of an answer that another node than the leader may
// have to give. Append only.
type code uint8

const (
	codeOK            code = 0
	codeNotLeader     code = 1
	codeBusy          code = 2
	codeUncertain     code = 3
	codeLifeEnded     code = 4
	codeFailed        code = 5
	codeStaleStart    code = 6
	codeServerChanged code = 7
	codePresent       code = 8
	codeGone          code = 9
	codeNeverIssued   code = 10
)

// final reports whether every leader would answer so.
func (c code) final() bool {
	return c == codeLifeEnded || c == codeStaleStart || c == codeServerChanged ||
		c == codePresent || c == codeGone || c == codeNeverIssued
}

func codeOf(err error) code {
	switch {
	case err == nil:
		return codeOK
	case errors.Is(err, errNoAnswer): // that a peer is gone does not say that the number asked for is
		return codeFailed
	case errors.Is(err, consensus.ErrNotLeader), errors.Is(err, consensus.ErrStopped):
		return codeNotLeader
	case errors.Is(err, consensus.ErrBusy):
		return codeBusy
	case errors.Is(err, consensus.ErrUncertain):
		return codeUncertain
	case errors.Is(err, idspace.ErrLifeEnded):
		return codeLifeEnded
	case errors.Is(err, idspace.ErrStaleStart):
		return codeStaleStart
	case errors.Is(err, idspace.ErrServerChanged):
		return codeServerChanged
	case errors.Is(err, ErrPresent):
		return codePresent
	case errors.Is(err, mesh.ErrGone):
		return codeGone
	case errors.Is(err, mesh.ErrNeverIssued):
		return codeNeverIssued
	default:
		return codeFailed
	}
}

// err returns the error of c as the node that has it would; nil for codeOK.
func (c code) err(leader idspace.ServerID) error {
	switch c {
	case codeOK:
		return nil
	case codeNotLeader:
		return &consensus.NotLeaderError{Leader: leader}
	case codeBusy:
		return consensus.ErrBusy
	case codeUncertain:
		return consensus.ErrUncertain
	case codeLifeEnded:
		return idspace.ErrLifeEnded
	case codeStaleStart:
		return idspace.ErrStaleStart
	case codeServerChanged:
		return idspace.ErrServerChanged
	case codePresent:
		return ErrPresent
	case codeGone:
		return mesh.ErrGone
	case codeNeverIssued:
		return mesh.ErrNeverIssued
	case codeFailed:
	}
	return fmt.Errorf("%w: code %d", mesh.ErrRequestFailed, c)
}

func leaderOf(err error) (leader idspace.ServerID) {
	var notLeader *consensus.NotLeaderError
	if errors.As(err, &notLeader) {
		return notLeader.Leader
	}
	return leader
}

// headLen is the length of what answerHead returns.
const headLen = 1 + 16

// answerHead begins the answers to grant, confirm and end-life.
func answerHead(err error) []byte {
	leader := leaderOf(err)
	return append([]byte{byte(codeOf(err))}, leader[:]...)
}

// askLeader sends a request to the leader, if it is known, else to any member,
// which may know it. use gets the answer behind code and leader.
func (c *Cluster) askLeader(ctx context.Context, leader idspace.ServerID, kind mesh.RequestKind, body []byte, use func([]byte) error) error {
	asked := make(map[idspace.BootID]bool)
	err := errNoLeader
	for ctx.Err() == nil {
		boot, ok := c.nextToAsk(leader, asked)
		if !ok {
			return err
		}
		asked[boot] = true
		e := c.askOne(ctx, boot, kind, body, use)
		if e == nil || codeOf(e).final() {
			return e
		}
		err, leader = fmt.Errorf("%w: %w", errNoLeader, e), leaderOf(e)
	}
	return err
}

func (c *Cluster) askOne(ctx context.Context, boot idspace.BootID, kind mesh.RequestKind, body []byte, use func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	b, err := c.mesh.Request(ctx, boot, kind, body)
	if err != nil {
		return fmt.Errorf("%w: node %s: %w", errNoAnswer, boot, err)
	}
	if len(b) < headLen {
		return errBadRequest
	}
	if err := code(b[0]).err(idspace.ServerID(b[1:headLen])); err != nil {
		return fmt.Errorf("node %s: %w", boot, err)
	}
	return use(b[headLen:])
}

// nextToAsk is the leader, or a member of the cluster that was not asked: first
// those that are reached at once, as gossip buries the dead only after a while,
// and of these the voters, which know who leads.
func (c *Cluster) nextToAsk(leader idspace.ServerID, asked map[idspace.BootID]bool) (next idspace.BootID, ok bool) {
	if boot, ok := c.dir.bootOf(leader); ok && !leader.IsZero() && !asked[boot] && boot != c.boot {
		return boot, true
	}
	best := -1
	for _, m := range c.dir.others(c.boot) {
		if asked[m.Boot] || m.Meta.Cluster.IsZero() {
			continue
		}
		rank := 0
		if c.mesh.Up(m.Boot) {
			rank = 2
		}
		if m.Meta.Role == gossip.RoleVoter {
			rank++
		}
		if rank > best {
			best, next, ok = rank, m.Boot, true
		}
	}
	return next, ok
}

// askRemoval asks the leader to take this server out.
func (c *Cluster) askRemoval(ctx context.Context, leader idspace.ServerID) error {
	boot, ok := c.dir.bootOf(leader)
	if !ok {
		return errNoLeader
	}
	own := c.seat().store.Identity().Server
	_, err := c.mesh.Request(ctx, boot, mesh.RequestJoin, own[:])
	return err
}
