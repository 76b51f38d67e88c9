package cluster

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A directory knows where the lives of other nodes are, by every name they
// have: boot, data directory, node number. What it says is a hint: the
// handshakes find out.
type directory struct {
	// routes leads from a number to the present member that holds it. It is
	// replaced under mu and never written after: the way of every send.
	routes  atomic.Pointer[map[idspace.NodeNumber]*mesh.Peer]
	newPeer func(idspace.BootID) *mesh.Peer

	// over says that a number is gone for ever: what is heard of it comes late.
	// It takes no lock.
	over func(idspace.NodeNumber) bool

	// moved is told of each replacement of routes. It takes no lock, either.
	moved func()

	mu      sync.RWMutex
	members map[idspace.BootID]gossip.Member        // guarded by mu: present, bounded by gossip
	servers map[idspace.ServerID]idspace.BootID     // guarded by mu: of members
	numbers map[idspace.NodeNumber]idspace.BootID   // guarded by mu: of members
	places  map[idspace.ServerID]netip.AddrPort     // guarded by mu: last known, also of the absent
	owned   map[idspace.BootID][]idspace.NodeNumber // guarded by mu: the other way round than numbers
}

// maxPlaces bounds the servers whose last address is remembered. One at random
// is forgotten.
const maxPlaces = 4096

func newDirectory(newPeer func(idspace.BootID) *mesh.Peer, over func(idspace.NodeNumber) bool, moved func()) *directory {
	d := &directory{
		newPeer: newPeer,
		over:    over,
		moved:   moved,
		members: make(map[idspace.BootID]gossip.Member),
		servers: make(map[idspace.ServerID]idspace.BootID),
		numbers: make(map[idspace.NodeNumber]idspace.BootID),
		places:  make(map[idspace.ServerID]netip.AddrPort),
		owned:   make(map[idspace.BootID][]idspace.NodeNumber),
	}
	d.routes.Store(&map[idspace.NodeNumber]*mesh.Peer{})
	return d
}

// routeLocked publishes who holds what.
func (d *directory) routeLocked() {
	before := *d.routes.Load()
	routes := make(map[idspace.NodeNumber]*mesh.Peer, len(d.numbers))
	for boot, numbers := range d.owned {
		if _, present := d.members[boot]; !present {
			continue
		}
		p := d.newPeer(boot)
		for _, n := range numbers {
			if was := before[n]; was != nil && was.Boot() == boot {
				p = was
			}
			routes[n] = p
		}
	}
	d.routes.Store(&routes)
	d.moved()
}

// route returns the present member that holds number n, as far as known here.
// It takes no lock.
func (d *directory) route(n idspace.NodeNumber) (*mesh.Peer, bool) {
	p, ok := (*d.routes.Load())[n]
	return p, ok
}

// present notes a member as gossip has it.
func (d *directory) present(m gossip.Member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before := d.members[m.Boot].Meta.Server; before != m.Meta.Server && d.servers[before] == m.Boot {
		delete(d.servers, before)
	}
	d.members[m.Boot] = m
	if !m.Meta.Server.IsZero() {
		d.servers[m.Meta.Server] = m.Boot
		if len(d.places) >= maxPlaces {
			for some := range d.places {
				delete(d.places, some)
				break
			}
		}
		d.places[m.Meta.Server] = m.Addr
	}
	if m.Meta.Number.Valid() {
		d.ownLocked(m.Boot, m.Meta.Number)
	}
	d.routeLocked()
}

// gone forgets a member; its numbers are kept while a link to it may live.
func (d *directory) gone(m gossip.Member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.members, m.Boot)
	if d.servers[m.Meta.Server] == m.Boot {
		delete(d.servers, m.Meta.Server)
	}
	d.routeLocked()
}

// prune drops the lives that v knows to have ended, and returns them with their
// numbers. This node's own keeps its: by them others know it for what it is.
func (d *directory) prune(v *view, own idspace.BootID) (ended map[idspace.BootID][]idspace.NodeNumber) {
	ended = make(map[idspace.BootID][]idspace.NodeNumber)
	d.mu.Lock()
	defer d.mu.Unlock()
	for boot, numbers := range d.owned {
		if slices.ContainsFunc(numbers, v.gone) {
			ended[boot] = numbers
		}
	}
	for boot, numbers := range ended {
		if boot == own {
			continue
		}
		for _, n := range numbers {
			delete(d.numbers, n)
		}
		delete(d.owned, boot)
	}
	if len(ended) > 0 {
		d.routeLocked()
	}
	return ended
}

// heard notes the numbers of a life.
func (d *directory) heard(boot idspace.BootID, numbers []idspace.NodeNumber) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range numbers {
		d.ownLocked(boot, n)
	}
	d.routeLocked()
}

func (d *directory) ownLocked(boot idspace.BootID, n idspace.NodeNumber) {
	if d.numbers[n] == boot || d.over(n) {
		return
	}
	d.numbers[n] = boot
	d.owned[boot] = append(d.owned[boot], n)
}

// ownerOf returns the life that holds number n, as far as known here.
func (d *directory) ownerOf(n idspace.NodeNumber) (boot idspace.BootID, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	boot, ok = d.numbers[n]
	return boot, ok
}

func (d *directory) numbersOf(boot idspace.BootID) []idspace.NodeNumber {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.owned[boot])
}

func (d *directory) owns(boot idspace.BootID, n idspace.NodeNumber) bool {
	owner, ok := d.ownerOf(n)
	return ok && owner == boot
}

func (d *directory) member(boot idspace.BootID) (gossip.Member, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	m, ok := d.members[boot]
	return m, ok
}

func (d *directory) bootOf(server idspace.ServerID) (boot idspace.BootID, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	boot, ok = d.servers[server]
	return boot, ok
}

// placeOf returns where a server is, or was last.
func (d *directory) placeOf(server idspace.ServerID) (netip.AddrPort, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	addr, ok := d.places[server]
	return addr, ok
}

// others returns the members but one, in no order.
func (d *directory) others(than idspace.BootID) []gossip.Member {
	d.mu.RLock()
	defer d.mu.RUnlock()
	others := make([]gossip.Member, 0, len(d.members))
	for boot, m := range d.members {
		if boot != than {
			others = append(others, m)
		}
	}
	return others
}
