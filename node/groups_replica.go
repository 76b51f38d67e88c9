package node

import (
	"errors"
	"sync"

	"flamingo/idspace"
)

// maxHints bounds the joins through this node of which a peer has not told. One
// over it is found by others a little later.
const maxHints = 4096

// A replica is what this node knows of the groups that have members at a peer.
type replica struct {
	name    string // for people
	number  NodeNumber
	absent  bool   // gossip does not see it
	version uint64 // 0: nothing is known, so the peer may have members of any group
	sum     uint64
	groups  map[nameHash]struct{}

	// What is being told anew, page by page, before it takes the place of groups.
	coming     map[nameHash]struct{}
	comingPage uint64

	// Groups that a connection of the peer has joined through this node, and the
	// peer's version by which it tells of that.
	hints map[nameHash]uint64
}

// maybe reports whether the peer may have members of the group.
func (r *replica) maybe(h nameHash) bool {
	if r.version == 0 {
		return true
	}
	if _, ok := r.groups[h]; ok {
		return true
	}
	_, ok := r.hints[h]
	return ok
}

// replicas are those of all peers.
type replicas struct {
	mostGroups int // that a peer may tell of; immutable

	mu   sync.RWMutex
	of   map[idspace.BootID]*replica // guarded by mu, with all in it
	lost uint64                      // guarded by mu: times a peer was asked to tell everything
}

func newReplicas(mostGroups int) *replicas {
	return &replicas{mostGroups: mostGroups, of: make(map[idspace.BootID]*replica)}
}

// A recipient is a peer that may have members of a group.
type recipient struct {
	boot   idspace.BootID
	name   string
	number NodeNumber
	absent bool
}

// interested returns the peers that may have members of the group.
func (rs *replicas) interested(h nameHash) (to []recipient) {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	for boot, r := range rs.of {
		if r.maybe(h) {
			to = append(to, recipient{boot, r.name, r.number, r.absent})
		}
	}
	return to
}

// meet has a replica of each peer that is present, keeps those of the ones that
// hold live numbers and are not, and forgets other lives.
func (rs *replicas) meet(peers []peerLife) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	live := make(map[idspace.BootID]bool, len(peers))
	for _, p := range peers {
		live[p.boot] = true
		r := rs.of[p.boot]
		switch {
		case r == nil && !p.present: // nobody knows what it has, and nobody reaches it
			continue
		case r == nil:
			r = &replica{}
			rs.of[p.boot] = r
		}
		if r.absent = !p.present; !r.absent { // else its name is not known any more
			r.name, r.number = p.name, p.number
		}
	}
	for boot := range rs.of {
		if !live[boot] {
			delete(rs.of, boot)
		}
	}
}

// errBadAnnouncement: a peer does not keep to the layout, or to a bound.
var errBadAnnouncement = errors.New("bad announcement of groups")

// version returns which version of a peer's groups is known.
func (rs *replicas) version(boot idspace.BootID) uint64 {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	if r := rs.of[boot]; r != nil {
		return r.version
	}
	return 0
}

// hear takes what a peer tells and returns the version of it that is known from
// then on: 0 asks for everything.
func (rs *replicas) hear(boot idspace.BootID, a announcement) (version uint64, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.of[boot]
	if r == nil { // it has heard of us before we have of it
		r = &replica{}
		rs.of[boot] = r
	}
	if a.whole {
		err = r.page(a, rs.mostGroups)
	} else {
		err = r.apply(a, rs.mostGroups)
	}
	if r.version == 0 && (!a.whole || a.last) {
		rs.lost++
	}
	return r.version, err
}

// apply takes changes, if they follow what is known.
func (r *replica) apply(a announcement, most int) error {
	if r.version == 0 || a.from != r.version {
		return nil
	}
	for _, c := range a.changes {
		if _, had := r.groups[c.hash]; had != c.added {
			r.sum ^= c.hash.mixed()
		}
		if c.added {
			r.groups[c.hash] = struct{}{}
		} else {
			delete(r.groups, c.hash)
		}
	}
	if len(r.groups) > most {
		*r = replica{name: r.name, number: r.number}
		return errBadAnnouncement
	}
	r.known(a.to, a.sum)
	return nil
}

// page takes a page of everything. With the last one that replaces what was known.
func (r *replica) page(a announcement, most int) error {
	if a.page == 0 {
		r.coming, r.comingPage = make(map[nameHash]struct{}), 0
	}
	if r.coming == nil || a.page != r.comingPage {
		r.coming = nil
		return nil
	}
	r.comingPage++
	for _, c := range a.changes {
		r.coming[c.hash] = struct{}{}
	}
	if len(r.coming) > most {
		r.coming = nil
		return errBadAnnouncement
	}
	if !a.last {
		return nil
	}
	r.groups, r.coming, r.sum = r.coming, nil, 0
	for h := range r.groups {
		r.sum ^= h.mixed()
	}
	r.known(a.to, a.sum)
	return nil
}

// known notes that the groups are those of a version, unless the sum says that
// they are not.
func (r *replica) known(version, sum uint64) {
	if r.sum != sum {
		r.version = 0
		return
	}
	r.version = version
	for h, v := range r.hints {
		if v <= version {
			delete(r.hints, h)
		}
	}
}

// hint notes that a connection of the peer has joined a group, of which the peer
// tells by that version.
func (rs *replicas) hint(boot idspace.BootID, h nameHash, version uint64) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.of[boot]
	if r == nil || r.version == 0 || r.version >= version || len(r.hints) >= maxHints {
		return
	}
	if r.hints == nil {
		r.hints = make(map[nameHash]uint64)
	}
	r.hints[h] = version
}

func (rs *replicas) nameOf(boot idspace.BootID) string {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	if r := rs.of[boot]; r != nil && r.name != "" {
		return r.name
	}
	return boot.String()
}

// counts returns how many groups of other nodes are known, and how often a peer
// had to tell everything.
func (rs *replicas) counts() (groups int, lost uint64) {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	for _, r := range rs.of {
		groups += len(r.groups)
	}
	return groups, rs.lost
}
