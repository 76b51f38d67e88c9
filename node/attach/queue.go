package attach

import "flamingo/node"

// An entry is an event that is not acknowledged, or whose predecessors are not.
type entry struct {
	node.Event
	again uint8 // how often it was sent before, up to 255
	done  bool
}

// A queue is a ring of entries. The zero value is empty. It gives memory back when it
// has become empty.
type queue struct {
	entries []entry // their number is a power of two, or zero
	head    int
	count   int
}

const (
	minQueue  = 64
	keepQueue = 4096 // an empty queue keeps so many places
)

func (q *queue) at(k int) *entry { return &q.entries[(q.head+k)&(len(q.entries)-1)] }

func (q *queue) push(e entry) {
	if q.count == len(q.entries) {
		q.grow()
	}
	q.count++
	*q.at(q.count - 1) = e
}

func (q *queue) grow() {
	entries := make([]entry, max(minQueue, 2*len(q.entries)))
	n := copy(entries, q.entries[q.head:])
	copy(entries[n:], q.entries[:q.head])
	q.entries, q.head = entries, 0
}

// drop removes the first entry.
func (q *queue) drop() {
	*q.at(0) = entry{}
	q.head = (q.head + 1) & (len(q.entries) - 1)
	if q.count--; q.count == 0 && len(q.entries) > keepQueue {
		*q = queue{}
	}
}
