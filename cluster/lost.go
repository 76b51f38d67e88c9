package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// The time after which a life is lost.
const (
	// DefaultLostAfter is long enough for a machine to be started again (ADR 23).
	DefaultLostAfter = time.Hour

	minLostAfter = time.Minute
	maxLostAfter = 30 * 24 * time.Hour
)

// lookEvery is how often a node notes with whom it has contact. Silence is counted
// in looks, not measured by the clock: a process that was stopped for an hour has
// not missed anybody for an hour.
const lookEvery = 5 * time.Second

// losses are the live lives, and for how long this node has had no contact with
// each.
type losses struct {
	mu   sync.Mutex
	seen map[idspace.BootID]contact // guarded by mu: of live lives, bounded by their number
}

// A contact is how it stands with one life.
type contact struct {
	missed int    // looks without contact, in a row
	name   string // the last one known; empty for none
}

func newLosses() losses { return losses{seen: make(map[idspace.BootID]contact)} }

// silence returns for how long there was no contact with a life, or zero if it is
// not known.
func (l *losses) silence(boot idspace.BootID) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.seen[boot].missed) * lookEvery
}

// name returns the last name known of a live life.
func (l *losses) name(boot idspace.BootID) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[boot].name
}

// inContact reports whether gossip or a stream leads to or from a life.
func (c *Cluster) inContact(boot idspace.BootID) bool {
	_, present := c.dir.member(boot)
	return present || boot == c.boot || c.mesh.Contact(boot)
}

// watchContacts notes with whom there is contact, and retires as the leader who is
// lost, until ctx is done.
func (c *Cluster) watchContacts(ctx context.Context) error {
	for pause(ctx, lookEvery); ctx.Err() == nil; pause(ctx, lookEvery) {
		lost := c.lookAround()
		if c.cfg.LostAfter < 0 || !c.State().Serving {
			continue
		}
		for _, boot := range lost {
			c.giveUp(ctx, boot)
		}
	}
	return nil
}

// lookAround counts the looks without contact, and returns who is lost.
func (c *Cluster) lookAround() (lost []idspace.BootID) {
	seen := make(map[idspace.BootID]contact)
	for _, boot := range c.view().live {
		if _, done := seen[boot]; done {
			continue
		}
		now := contact{name: c.lost.name(boot)}
		if m, ok := c.dir.member(boot); ok {
			now.name = m.Meta.Name
		}
		if !c.inContact(boot) {
			now.missed = int(c.lost.silence(boot)/lookEvery) + 1
		}
		seen[boot] = now
		if c.cfg.LostAfter > 0 && time.Duration(now.missed)*lookEvery >= c.cfg.LostAfter {
			lost = append(lost, boot)
		}
	}
	c.lost.mu.Lock()
	c.lost.seen = seen
	c.lost.mu.Unlock()
	return lost
}

// giveUp retires a life with which this node, the leader, has had no contact for
// LostAfter, if most of the voters say the same, and none that is there says
// otherwise or nothing.
func (c *Cluster) giveUp(ctx context.Context, boot idspace.BootID) {
	voters := c.State().Voters
	own := c.seat().store.Identity().Server
	agree := 0
	for _, voter := range voters {
		if voter == own {
			agree++
			continue
		}
		at, ok := c.dir.bootOf(voter)
		if !ok || at == boot {
			continue // it has no contact with anybody that we know of
		}
		silence, err := c.askSilence(ctx, at, boot)
		if err != nil || silence < c.cfg.LostAfter {
			c.cfg.Logger.Debug("a life is not given up", "boot", boot, "voter", voter, "silence", silence, "err", err)
			return
		}
		agree++
	}
	if agree <= len(voters)/2 {
		return
	}
	if c.inContact(boot) { // again, while the voters were asked
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastWordTimeout)
	defer cancel()
	if err := c.retireLife(ctx, boot, fmt.Sprintf("no voter has had contact with it for %v", c.cfg.LostAfter)); err != nil {
		c.cfg.Logger.Info("a lost life is not retired yet", "boot", boot, "err", err)
	}
}

// askSilence asks a voter for how long it has had no contact with a life.
func (c *Cluster) askSilence(ctx context.Context, voter, boot idspace.BootID) (silence time.Duration, err error) {
	err = c.askOne(ctx, voter, mesh.RequestContact, boot[:], func(b []byte) error {
		if len(b) != 4 {
			return errBadRequest
		}
		silence = time.Duration(binary.BigEndian.Uint32(b)) * time.Second
		return nil
	})
	return silence, err
}

// contact answers askSilence.
func (r requests) contact(body []byte) ([]byte, error) {
	if len(body) != len(idspace.BootID{}) {
		return nil, errBadRequest
	}
	boot := idspace.BootID(body)
	silence := r.c.lost.silence(boot)
	if r.c.inContact(boot) {
		silence = 0
	}
	seconds := min(int64(silence/time.Second), math.MaxUint32)
	return binary.BigEndian.AppendUint32(answerHead(nil), uint32(seconds)), nil
}
