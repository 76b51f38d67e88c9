package mesh

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"flamingo/idspace"
)

// Groups delivers to the members of groups that this node holds. Its calls are
// made in the order of the frames of a lane, return at once and keep nothing.
type Groups interface {
	Publish(to Audience, kind Kind, msg []byte)

	// CloseGroup ends the connections; see Owner.Close for code and reason.
	CloseGroup(to Audience, code uint16, reason string)
}

// An Audience is the members of a group that one frame is for.
type Audience struct {
	Group string

	except      []idspace.ID // ascending
	lane, lanes int
}

// Includes reports whether a member of the group belongs to the audience.
func (a *Audience) Includes(id idspace.ID) bool {
	if a.lanes > 1 && laneIndex(id, a.lanes) != a.lane {
		return false
	}
	_, out := slices.BinarySearch(a.except, id)
	return !out
}

// publishing says what a publish frame does. Append only.
type publishing uint64

const (
	publishMessage publishing = 0
	publishClose   publishing = 1
)

// MaxExcept is how many ids a Publish may leave out.
const MaxExcept = maxIDs

// Publish queues msg, of that kind, for those of a group's members that the peer
// holds, but for up to MaxExcept ids: one frame on each lane, which keeps its
// place among what goes to the same ids. The name of the group has 1 to 255
// bytes. It waits as SendData does; SendTimeout is for all lanes together. nil
// means that msg, which is copied, is on its way: if the peer may not have taken
// it, Undelivered is told, with the group. ErrUncertain says that only some of
// the lanes have accepted it. What becomes of it at each member is the peer's to
// know.
func (p *Peer) Publish(group string, except []idspace.ID, kind Kind, msg []byte) error {
	return p.publish(message{kind: kindPublish, what: publishMessage, as: kind, group: group, ids: except, payload: msg})
}

// CloseGroup queues the end of those connections, behind what was sent to them
// before, in the way of Publish. See SendClose for code and reason.
func (p *Peer) CloseGroup(group string, code uint16, reason string) error {
	m := closing(kindPublish, 0, code, reason)
	m.what, m.group = publishClose, group
	return p.publish(m)
}

func (p *Peer) publish(m message) error {
	if m.group == "" || len(m.group) > maxGroup || len(m.ids) > maxIDs {
		return ErrTooLarge
	}
	l, err := p.prepare(m.size())
	if err != nil {
		return err
	}
	m.lanes = len(l.lanes)
	until, sent := p.mesh.clock()+int64(p.mesh.cfg.SendTimeout), false
	for _, n := range l.lanes {
		own := m
		own.ids = slices.Clone(m.ids)
		patience := time.Duration(until - p.mesh.clock())
		if e := n.send(context.Background(), patience, &own, &ticket{group: m.group}); e == nil {
			sent = true
		} else {
			err = e
		}
	}
	if err != nil && sent {
		return ErrUncertain
	}
	return err
}

// Request is Mesh.Request to the peer.
func (p *Peer) Request(ctx context.Context, kind RequestKind, body []byte) ([]byte, error) {
	return p.mesh.Request(ctx, p.boot, kind, body)
}

// publish writes the fields between the number and the payload.
func (e *encoder) publish(m *message) {
	e.uint(uint64(m.what))
	if m.what == publishClose {
		e.uint(uint64(m.code))
	} else {
		e.uint(uint64(m.as))
	}
	e.uint(uint64(m.lanes))
	e.bytes([]byte(m.group))
	e.array(len(m.ids))
	for _, id := range m.ids {
		e.uint(uint64(id))
	}
}

// takePublish hands a publish frame to the groups. That the peer has more or fewer
// lanes from one frame to the next breaks no more than the peer's own order.
func (n *inLane) takePublish(seq uint64, f *frame) error {
	what, lanes := publishing(f.u[1]), f.u[3]
	bad := what > publishClose || len(f.group) == 0 || len(f.group) > maxGroup ||
		lanes == 0 || lanes > maxLanes || n.key.lane >= lanes
	if what == publishClose {
		bad = bad || f.u[2] > math.MaxUint16 || len(f.payload) > maxReason
	}
	if bad {
		return fmt.Errorf("%w: publish", reasonError{ReasonMalformed})
	}
	if len(f.payload) > n.mesh.cfg.MaxMessage {
		n.answer(seq, 0, OutcomeTooLarge)
		return nil
	}
	groups := n.mesh.cfg.Groups
	if groups == nil {
		return nil
	}
	slices.Sort(f.ids)
	to := Audience{Group: string(f.group), except: f.ids, lane: int(n.key.lane), lanes: int(lanes)}
	if what == publishClose {
		groups.CloseGroup(to, uint16(f.u[2]), string(f.payload))
	} else {
		groups.Publish(to, kindOf(f.u[2]), f.payload)
	}
	return nil
}
