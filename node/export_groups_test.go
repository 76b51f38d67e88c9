package node

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"flamingo/idspace"
)

// A Herald is the two ends of an announcement: a node's own groups, and what a
// peer, named by its boot, knows of them.
type Herald struct {
	own       *interests
	others    *replicas
	announcer *announcer
	boot      idspace.BootID
	failures  int
	away      atomic.Bool

	// Carry brings a body to the peer and the answer back. It is called by one
	// goroutine at a time.
	Carry func(body []byte, hear func([]byte) ([]byte, error)) ([]byte, error)
}

func NewHerald(boot idspace.BootID) *Herald {
	h := &Herald{own: newInterests(), others: newReplicas(1 << 20), boot: boot}
	h.announcer = &announcer{
		own: h.own, moved: func() uint64 { return 0 }, meet: func([]peerLife) {}, peers: make(map[idspace.BootID]*told), failed: func() { h.failures++ },
		have:  func(idspace.BootID) uint64 { return 0 },
		lives: func() []peerLife { return []peerLife{{boot: boot, present: !h.away.Load()}} },
		request: func(_ context.Context, _ idspace.BootID, body []byte) ([]byte, error) {
			return h.Carry(body, func(body []byte) ([]byte, error) {
				a, err := decodeAnnouncement(body)
				if err != nil {
					return nil, err
				}
				version, err := h.others.hear(boot, a)
				return encodeVersion(version), err
			})
		},
	}
	return h
}

func (h *Herald) Run(ctx context.Context)   { h.announcer.run(ctx) }
func (h *Herald) Set(name string, has bool) { h.own.set(name, has) }

// Away says whether the peer is no member for the time being.
func (h *Herald) Away(away bool) { h.away.Store(away) }

// Forget makes the peer forget everything, and Corrupt one group.
func (h *Herald) Forget() {
	h.others.mu.Lock()
	defer h.others.mu.Unlock()
	delete(h.others.of, h.boot)
}

func (h *Herald) Corrupt() {
	h.others.mu.Lock()
	defer h.others.mu.Unlock()
	r := h.others.of[h.boot]
	for one := range r.groups {
		delete(r.groups, one)
		r.sum ^= one.mixed()
		return
	}
}

// Agree reports whether the peer knows exactly the groups that there are.
func (h *Herald) Agree() bool {
	h.others.mu.Lock()
	defer h.others.mu.Unlock()
	r := h.others.of[h.boot]
	if r == nil || r.version != h.own.current() {
		return false
	}
	hashes, _, _ := h.own.all()
	slices.Sort(hashes)
	return slices.Equal(hashes, slices.Sorted(maps.Keys(r.groups)))
}

// An Audience is whom a node publishes to, as others come and go. Nothing runs.
type Audience struct {
	lives []peerLife
	Moved uint64 // how often that was told
	node  *Node
}

func NewAudience() *Audience {
	a := &Audience{node: &Node{member: &member{}, groups: newGroups(&Opts{})}}
	a.node.groups.announcer.Store(&announcer{
		moved: func() uint64 { return a.Moved }, lives: func() []peerLife { return a.lives },
		meet: a.node.groups.others.meet, peers: make(map[idspace.BootID]*told),
	})
	return a
}

// Come adds a node of which nothing else is known.
func (a *Audience) Come(boot idspace.BootID) {
	a.lives = append(a.lives, peerLife{boot: boot, number: 1, present: true})
}

// Reached returns how many nodes a publish goes to.
func (a *Audience) Reached() int { return len(a.node.recipients("group")) }

// RecodeGroups decodes body as each of the requests and answers about groups, and
// encodes it again; nil for what it is not.
func RecodeGroups(body []byte) [7][]byte {
	tied, tiedErr := decodeTied(body)
	request, requestErr := decodeMembersRequest(body)
	page, pageErr := decodeMembersPage(body)
	after, limit, groupsErr := decodeGroupsRequest(body)
	sizes, more, sizesErr := decodeGroupSizes(body)
	told, toldErr := decodeAnnouncement(body)
	tie, tieErr := decodeTie(body)
	all := [7][]byte{
		tie.encode(), tied.encode(), request.encode(), page.encode(), encodeGroupsRequest(after, limit),
		encodeGroupSizes(sizes, more), told.encode(),
	}
	for k, err := range []error{tieErr, tiedErr, requestErr, pageErr, groupsErr, sizesErr, toldErr} {
		if err != nil {
			all[k] = nil
		}
	}
	return all
}

// HearGroups has a peer hear bodies, one after another.
func HearGroups(bodies ...[]byte) {
	rs := newReplicas(1 << 10)
	for _, body := range bodies {
		if a, err := decodeAnnouncement(body); err == nil {
			_, _ = rs.hear(idspace.BootID{1}, a)
		}
	}
}
