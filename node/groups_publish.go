package node

import (
	"errors"
	"fmt"
	"sync"

	"flamingo/cluster/mesh"
	"flamingo/transport"
)

// MaxExcept is how many ids one Publish may leave out.
const MaxExcept = mesh.MaxExcept

// A NodeError is what kept a node from doing its part.
type NodeError struct {
	Node   string     // its name; empty if that is not known
	Number NodeNumber // its newest; zero if that is not known
	Err    error      // matches an outcome
}

func (e *NodeError) Error() string { return fmt.Sprintf("node %s: %v", e.Node, e.Err) }

func (e *NodeError) Unwrap() error { return e.Err }

// A Published says how far a message, or the end of a group, has come.
type Published struct {
	Local   int // members on this node that took it
	Refused int // members on this node that did not: slow, ending, or it does not fit their framing
	Nodes   int // other nodes it was handed to, as nodes that may have members

	// Failed are nodes that have members, or may have, and that it was not handed
	// to: unreachable, backpressure, too-large; or perhaps not wholly: uncertain.
	Failed []*NodeError
}

// Publish sends msg to the members of a group on all nodes, but for up to MaxExcept
// ids. It returns once every node that may have members has accepted the message
// for delivery, or will not: it waits for room on the way there, at most
// Opts.SendTimeout, and for no client. msg is the caller's again on return.
//
// A member gets it at most once, and in order with whatever else this node sends
// to it. A member gets it at all unless the result says that its node failed, the
// member is slow or ending, or the link to its node is lost after that; what became
// of the members on another node that node counts in its GroupStats, and what was
// lost on the way this one, with a line in the log. Whoever joins through this node
// is a member at once, through another node as JoinGroup says.
//
// The message is framed once for each listener, and the connections share it. The
// error is for what is wrong with the call: ErrBadGroup, ErrBadOption or ErrClosed.
func (n *Node) Publish(group string, msg []byte, except ...ID) (Published, error) {
	return n.PublishAs(group, KindDefault, msg, except...)
}

// PublishAs is Publish of a message of that kind.
func (n *Node) PublishAs(group string, kind Kind, msg []byte, except ...ID) (Published, error) {
	if len(except) > MaxExcept {
		return Published{}, fmt.Errorf("publish: %w", badOption("except", fmt.Sprint(len(except), " ids"), fmt.Sprintf("up to %d", MaxExcept)))
	}
	leftOut := out(except)
	return n.spread("publish", group,
		func() (took, refused int) {
			return n.groups.deliver(group, kind, msg, func(id ID) bool { return !leftOut(id) })
		},
		func(p *mesh.Peer) error { return p.Publish(group, except, kindFor(kind), msg) })
}

// CloseGroup ends the connections of a group on all nodes, each once what was
// published or sent to it before is written. The result and the error are those of
// Publish. On this node it is as SendClose for each of them: their ends are not
// reported by RecvClose.
func (n *Node) CloseGroup(group string) (Published, error) {
	return n.CloseGroupWith(group, 0, "")
}

// CloseGroupWith is to CloseGroup what SendCloseWith is to SendClose.
func (n *Node) CloseGroupWith(group string, code int, reason string) (Published, error) {
	reason, err := transport.CheckClose(code, reason)
	if err != nil {
		return Published{}, fmt.Errorf("close group: %w", err)
	}
	return n.spread("close group", group,
		func() (took, refused int) {
			return n.groups.end(group, ending{ReasonSent, code, reason}, func(ID) bool { return true })
		},
		func(p *mesh.Peer) error { return p.CloseGroup(group, uint16(code), reason) })
}

// spread does something at this node and at every other that may have members.
func (n *Node) spread(op, group string, here func() (took, refused int), there func(*mesh.Peer) error) (p Published, err error) {
	if err = checkGroup(group); err == nil && n.closed.Load() {
		err = ErrClosed
	}
	if err != nil {
		return p, fmt.Errorf("%s: %w", op, err)
	}
	to := n.recipients(group)
	n.groups.counts.published.Add(1)
	errs := make([]error, len(to))
	var sending sync.WaitGroup
	for i := range to {
		if i > 0 { // a link without room holds up no other node
			sending.Go(func() { errs[i] = n.reach(to[i], there) })
		}
	}
	p.Local, p.Refused = here()
	if len(to) > 0 {
		errs[0] = n.reach(to[0], there)
	}
	sending.Wait()
	for i, e := range errs {
		if e == nil {
			p.Nodes++
		} else if e = outcomeOf(e); !errors.Is(e, ErrGone) { // with its node the members are gone
			p.Failed = append(p.Failed, &NodeError{to[i].name, to[i].number, e})
		}
	}
	n.groups.counts.unreachable.Add(uint64(len(p.Failed)))
	return p, nil
}

// recipients returns the nodes that may have members of a group.
func (n *Node) recipients(group string) []recipient {
	if n.member == nil || n.member.over.Load() {
		return nil
	}
	if herald := n.groups.announcer.Load(); herald != nil {
		herald.catchUp()
	}
	return n.groups.others.interested(hashOf(group))
}

// reach does something at another node, unless there is no way to it.
func (n *Node) reach(to recipient, there func(*mesh.Peer) error) error {
	links := n.member.cluster().Mesh()   // another one in each life of this node
	if to.absent && !links.Up(to.boot) { // a live link outranks a gossiped death
		return mesh.ErrUnreachable
	}
	return there(links.To(to.boot))
}

// rosters are where the members of a group are listed while something is done with
// each of them.
var rosters = sync.Pool{New: func() any { return new([]ID) }}

// eachMember calls do for the members on this node that are to be reached, and
// counts.
func (g *groups) eachMember(group string, include func(ID) bool, do func(ID) error) (took, refused int) {
	roster := rosters.Get().(*[]ID)
	*roster = g.members.members(group, (*roster)[:0])
	for _, id := range *roster {
		switch {
		case !include(id):
		case do(id) == nil:
			took++
		default:
			refused++
		}
	}
	if cap(*roster) <= 1<<16 { // half a MiB
		rosters.Put(roster)
	}
	return took, refused
}

// deliver sends msg to members on this node.
func (g *groups) deliver(group string, kind Kind, msg []byte, include func(ID) bool) (took, refused int) {
	m := g.clients.Broadcast(kind, msg)
	defer m.Done()
	took, refused = g.eachMember(group, include, m.Deliver)
	g.counts.delivered.Add(uint64(took))
	g.counts.refused.Add(uint64(refused))
	return took, refused
}

// end ends the connections of members on this node.
func (g *groups) end(group string, e ending, include func(ID) bool) (took, refused int) {
	return g.eachMember(group, include, func(id ID) error { return endWith(g.clients, id, e) })
}

// endWith ends a connection also with a code that this release does not know to be
// one for programs: as with none.
func endWith(clients *transport.Transport, id ID, e ending) error {
	err := clients.SendCloseWith(id, e.why, e.code, e.reason)
	if errors.Is(err, ErrBadCloseCode) {
		err = clients.SendClose(id, e.why)
	}
	return err
}

// Publish implements mesh.Groups.
func (g *groups) Publish(to mesh.Audience, kind mesh.Kind, msg []byte) {
	g.deliver(to.Group, kindOf(kind), msg, to.Includes)
}

// CloseGroup implements mesh.Groups.
func (g *groups) CloseGroup(to mesh.Audience, code uint16, reason string) {
	g.end(to.Group, ending{ReasonRemote, int(code), reason}, to.Includes)
}
