package mesh

import "flamingo/idspace"

// An entry is what a lane remembers of a frame until it is acknowledged.
type entry struct {
	id     idspace.ID
	size   int // of the window; 0 for all but the last part of a message
	kind   entryKind
	ticket *ticket // a frame with several ids, or one that somebody waits for
}

type entryKind uint8

const (
	entryNone    entryKind = iota // nobody is to be told: settled, or not the last part
	entryData                     // one message
	entryClose                    // one close
	entryMany                     // one message for each of ticket.ids
	entryWait                     // ticket.done is waited for
	entryPublish                  // one message for ticket.group
)

// A ticket is the part of an entry that few frames need.
type ticket struct {
	ids    []idspace.ID // entryMany
	cursor int          // entryMany: how far outcomes have come

	done  chan verdict // entryWait; room for one. Nil: Undelivered is told, unless it is written
	ended bool         // entryWait: done has its outcome, or Undelivered
	seq   uint64       // entryWait: the frame's number, 0 while it has none
	item  *item        // entryWait: where it stands while it has none

	deadline int64      // entryWait: by Mesh.clock; 0 for none
	id       idspace.ID // entryWait without done

	group string // entryPublish
}

// waits reports whether the ticket is for one frame whose outcome is owed.
func (t *ticket) waits() bool { return t != nil && (t.done != nil || t.id != 0) }

// A ring holds entries by consecutive numbers, from first on.
type ring struct {
	slots []entry // length a power of two
	first uint64
	count int
}

const minEntries = 64

func (r *ring) push(e entry) {
	if r.count == len(r.slots) {
		slots := make([]entry, max(minEntries, 2*len(r.slots)))
		for i := range r.count {
			n := r.first + uint64(i)
			slots[n&uint64(len(slots)-1)] = *r.at(n)
		}
		r.slots = slots
	}
	r.count++
	*r.at(r.first + uint64(r.count) - 1) = e
}

// at returns the entry with number n, which must be in the ring.
func (r *ring) at(n uint64) *entry { return &r.slots[n&uint64(len(r.slots)-1)] }

func (r *ring) has(n uint64) bool { return n >= r.first && n-r.first < uint64(r.count) }

func (r *ring) pop() entry {
	slot := r.at(r.first)
	e := *slot
	*slot = entry{}
	r.first++
	r.count--
	if r.count == 0 && len(r.slots) > 64*minEntries && r.first%1024 == 0 {
		r.slots = nil // what a burst has made large
	}
	return e
}
