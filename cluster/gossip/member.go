package gossip

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"flamingo/idspace"
)

// Member is one life of a node, as gossip has it. All of it is a hint.
type Member struct {
	Boot idspace.BootID
	Addr netip.AddrPort // where it is reached; the same as Meta.Address
	Meta Meta

	// Since is when this node learned of it.
	Since time.Time

	// Confirmed is when this node last heard from the member itself, rather
	// than of it; zero for never. Each member is asked in turn, so in a
	// large cluster that may be minutes ago.
	Confirmed time.Time
}

// same reports whether a subscriber that knows m need not be told of o.
func (m Member) same(o Member) bool { return m.Addr == o.Addr && m.Meta == o.Meta }

// ChangeKind says what happened to a member.
type ChangeKind uint8

// The kinds of change.
const (
	Joined  ChangeKind = iota // present, and was not
	Updated                   // announces something else
	Gone                      // left, or does not answer; Member is as it was last known
)

// String returns the kind in words.
func (k ChangeKind) String() string {
	switch k {
	case Joined:
		return "joined"
	case Updated:
		return "updated"
	case Gone:
		return "gone"
	}
	return fmt.Sprintf("change %d", uint8(k))
}

// Change is what happened to a member since a subscriber was last told of it.
type Change struct {
	Kind   ChangeKind
	Member Member
}

// Members returns the members that are present, this node among them, in
// order of their boot ids. It is empty before Run.
func (g *Gossip) Members() []Member { return g.table.snapshot() }

// Changes returns the changes of the members, beginning with a Joined for each
// that is present, this node among them. The sequence blocks while there is
// none, and ends with ctx or with Run. A reader may be slow: changes of one
// member between two readings are told as one, and what cancels out is not told
// at all. The sequence may be ranged over any number of times.
func (g *Gossip) Changes(ctx context.Context) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		s := g.table.subscribe()
		defer g.table.unsubscribe(s)
		for ctx.Err() == nil {
			if c, ok := g.table.next(s); ok {
				if !yield(c) {
					return
				}
				continue
			}
			select {
			case <-s.wake:
			case <-ctx.Done():
			case <-g.ended:
				return
			}
		}
	}
}
