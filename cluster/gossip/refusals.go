package gossip

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"flamingo/idspace"
)

// maxRefusals bounds the refused nodes that are remembered; the one refused
// longest ago is forgotten first. More would be two large clusters that meet.
const maxRefusals = 1024

// Refusal says that a node was refused as a member.
type Refusal struct {
	Boot  idspace.BootID
	Addr  netip.AddrPort // zero if only hearsay
	Err   error          // a *MismatchError, or matching ErrOtherName
	First time.Time
	Last  time.Time
}

// refusals are the nodes this one does not speak to: memberlist cannot be told
// to drop a member, but one that is never answered dies by itself.
type refusals struct {
	mu      sync.Mutex
	byBoot  map[idspace.BootID]*list.Element
	order   *list.List // of *Refusal, in order of Last
	unsaid  []Refusal  // not logged yet; no more than maxRefusals
	created chan struct{}
}

func newRefusals() *refusals {
	return &refusals{
		byBoot:  make(map[idspace.BootID]*list.Element),
		order:   list.New(),
		created: make(chan struct{}, 1),
	}
}

// add notes a refusal.
func (r *refusals) add(boot idspace.BootID, addr netip.AddrPort, err error, now time.Time) {
	r.mu.Lock()
	if e := r.byBoot[boot]; e != nil {
		old := e.Value.(*Refusal)
		old.Last, old.Err = now, err
		if addr.IsValid() {
			old.Addr = addr
		}
		r.order.MoveToBack(e)
		r.mu.Unlock()
		return
	}
	n := &Refusal{Boot: boot, Addr: addr, Err: err, First: now, Last: now}
	r.byBoot[boot] = r.order.PushBack(n)
	if r.order.Len() > maxRefusals {
		delete(r.byBoot, r.order.Remove(r.order.Front()).(*Refusal).Boot)
	}
	if len(r.unsaid) < maxRefusals {
		r.unsaid = append(r.unsaid, *n)
	}
	r.mu.Unlock()
	select {
	case r.created <- struct{}{}:
	default:
	}
}

// release forgets the refusal of boot, with which this node now agrees.
func (r *refusals) release(boot idspace.BootID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byBoot[boot]; e != nil {
		r.order.Remove(e)
		delete(r.byBoot, boot)
	}
}

func (r *refusals) has(boot idspace.BootID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byBoot[boot] != nil
}

// takeUnsaid returns the refusals that were not taken before.
func (r *refusals) takeUnsaid() []Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.unsaid
	r.unsaid = nil
	return all
}

// Refusals returns the nodes that were refused as members, at most 1024, the
// one refused last at the end.
func (g *Gossip) Refusals() []Refusal {
	g.refusals.mu.Lock()
	defer g.refusals.mu.Unlock()
	var all []Refusal
	for e := g.refusals.order.Front(); e != nil; e = e.Next() {
		all = append(all, *e.Value.(*Refusal))
	}
	return all
}
