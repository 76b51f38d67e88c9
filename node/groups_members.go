package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// MaxGroupName is the longest name of a group, in bytes.
const MaxGroupName = 128

// checkGroup refuses what is no name of a group.
func checkGroup(name string) error {
	if !validName(name, MaxGroupName) {
		return fmt.Errorf("%w: %.200q: allowed are 1 to %d bytes of UTF-8 without control characters", ErrBadGroup, name, MaxGroupName)
	}
	return nil
}

func validName(name string, most int) bool {
	return name != "" && len(name) <= most && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// none is the end of a chain of memberships, and the index of no room.
const none = ^uint32(0)

// A membership is one connection's place in one group.
type membership struct {
	id    ID
	room  uint32 // index in rooms
	place uint32 // index in the room's members
	next  uint32 // another membership of the connection, or a free one; or none
}

// membershipPage is how many memberships are allocated at a time: 96 KiB.
const membershipPage = 4096

// A room is a group with members on this node.
type room struct {
	name    string
	members []uint32 // memberships, in no order
}

// memberships are which connections of this node are members of which groups. A
// membership takes 24 bytes and a place of 4 in its room, a connection with any
// some 20 more, all without a pointer to follow for the collector; a room takes
// some 100 and its name.
type memberships struct {
	perConn, maxRooms int // bounds; immutable

	// changed is told, under mu, that a group has members here from now on, or
	// has none any more. Immutable.
	changed func(name string, has bool)

	mu        sync.RWMutex
	pages     [][]membership    // guarded by mu, as all below
	used      uint32            // memberships that were ever taken
	free      uint32            // the first free one of these, or none
	first     map[ID]uint32     // of each connection's memberships
	byName    map[string]uint32 // rooms
	rooms     []room
	freeRooms []uint32
	count     int // memberships
}

func newMemberships(perConn, maxRooms int, changed func(string, bool)) *memberships {
	return &memberships{
		perConn: perConn, maxRooms: maxRooms, changed: changed,
		free: none, first: make(map[ID]uint32), byName: make(map[string]uint32),
	}
}

func (g *memberships) at(k uint32) *membership { return &g.pages[k/membershipPage][k%membershipPage] }

// join makes id a member of a group, if it is none. alive is asked under the
// lock, so that whoever ends the connection calls drop after that or has called
// it before.
func (g *memberships) join(id ID, name string, alive func(ID) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := alive(id); err != nil {
		return err
	}
	r, exists := g.byName[name]
	head, ok := g.first[id]
	if !ok {
		head = none
	}
	own := 0
	for k := head; k != none; k = g.at(k).next {
		if exists && g.at(k).room == r {
			return nil
		}
		own++
	}
	switch {
	case own >= g.perConn:
		return fmt.Errorf("%w: GroupsPerConn %d", ErrLimit, g.perConn)
	case !exists && len(g.byName) >= g.maxRooms:
		return fmt.Errorf("%w: MaxGroups %d", ErrLimit, g.maxRooms)
	case !exists:
		r = g.openLocked(name)
	}
	k := g.takeLocked()
	g.first[id] = k
	*g.at(k) = membership{id: id, room: r, place: uint32(len(g.rooms[r].members)), next: head}
	g.rooms[r].members = append(g.rooms[r].members, k)
	g.count++
	if !exists {
		g.changed(name, true)
	}
	return nil
}

// openLocked makes a room for a group.
func (g *memberships) openLocked(name string) (r uint32) {
	name = strings.Clone(name) // it may be a part of something long
	if n := len(g.freeRooms); n > 0 {
		r, g.freeRooms = g.freeRooms[n-1], g.freeRooms[:n-1]
	} else {
		r = uint32(len(g.rooms))
		g.rooms = append(g.rooms, room{})
	}
	g.rooms[r] = room{name: name}
	g.byName[name] = r
	return r
}

// takeLocked returns a membership that is free.
func (g *memberships) takeLocked() uint32 {
	if k := g.free; k != none {
		g.free = g.at(k).next
		return k
	}
	if int(g.used) == len(g.pages)*membershipPage {
		g.pages = append(g.pages, make([]membership, membershipPage))
	}
	g.used++
	return g.used - 1
}

// leave takes id out of a group, if it is a member.
func (g *memberships) leave(id ID, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, exists := g.byName[name]
	head, ok := g.first[id]
	if !exists || !ok {
		return
	}
	for before, k := none, head; k != none; before, k = k, g.at(k).next {
		m := g.at(k)
		if m.room != r {
			continue
		}
		switch {
		case before != none:
			g.at(before).next = m.next
		case m.next != none:
			g.first[id] = m.next
		default:
			delete(g.first, id)
		}
		g.removeLocked(k)
		return
	}
}

// drop takes a connection that has ended out of all its groups.
func (g *memberships) drop(id ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, ok := g.first[id]
	if !ok {
		return
	}
	delete(g.first, id)
	for k != none {
		next := g.at(k).next
		g.removeLocked(k)
		k = next
	}
}

// removeLocked frees a membership that its connection refers to no more. The last
// one of the room takes its place.
func (g *memberships) removeLocked(k uint32) {
	m := g.at(k)
	r := &g.rooms[m.room]
	last := len(r.members) - 1
	moved := r.members[last]
	r.members[m.place] = moved
	g.at(moved).place = m.place
	r.members = r.members[:last]
	switch {
	case last == 0:
		name, index := r.name, m.room
		delete(g.byName, name)
		*r = room{}
		g.freeRooms = append(g.freeRooms, index)
		g.changed(name, false)
	case cap(r.members) > 64 && last < cap(r.members)/4:
		r.members = append(make([]uint32, 0, 2*last), r.members...)
	}
	*m = membership{next: g.free}
	g.free = k
	g.count--
}

// members appends the members of a group to ids, in no order.
func (g *memberships) members(name string, ids []ID) []ID {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if r, ok := g.byName[name]; ok {
		for _, k := range g.rooms[r].members {
			ids = append(ids, g.at(k).id)
		}
	}
	return ids
}

// page returns the lowest members of a group behind after, ascending and at most
// limit, how many members it has in all, and whether further ones follow; with
// limit 0 how many alone.
func (g *memberships) page(name string, after ID, limit int) (ids []ID, total int, more bool) {
	if limit == 0 {
		return nil, g.size(name), false
	}
	ids = g.members(name, nil)
	total = len(ids)
	ids = slices.DeleteFunc(ids, func(id ID) bool { return id <= after })
	slices.Sort(ids)
	more = len(ids) > limit
	return ids[:min(len(ids), limit)], total, more
}

func (g *memberships) size(name string) int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if r, ok := g.byName[name]; ok {
		return len(g.rooms[r].members)
	}
	return 0
}

// groupsOf returns the groups of a connection, ascending.
func (g *memberships) groupsOf(id ID) (names []string) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	k, ok := g.first[id]
	for ok && k != none {
		names = append(names, g.rooms[g.at(k).room].name)
		k = g.at(k).next
	}
	slices.Sort(names)
	return names
}

// A GroupSize is a group, and how many members it has.
type GroupSize struct {
	Name    string
	Members int
}

// list returns the first groups by name behind after, at most limit (not 0), and
// whether further ones follow. It looks at every name, and keeps and sorts no more
// than two pages of them at a time.
func (g *memberships) list(after string, limit int) (groups []GroupSize, more bool) {
	byName := func(a, b GroupSize) int { return cmp.Compare(a.Name, b.Name) }
	last := "" // behind which no name is of the page; empty while that is not known
	g.mu.RLock()
	for name, r := range g.byName {
		if name <= after || last != "" && name > last {
			continue
		}
		groups = append(groups, GroupSize{name, len(g.rooms[r].members)})
		if len(groups) > 2*limit {
			slices.SortFunc(groups, byName)
			groups = groups[:limit+1] // one more tells that further ones follow
			last = groups[limit].Name
		}
	}
	g.mu.RUnlock()
	slices.SortFunc(groups, byName)
	more = len(groups) > limit
	return groups[:min(len(groups), limit)], more
}

func (g *memberships) sizes() (groups, members int) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.byName), g.count
}
