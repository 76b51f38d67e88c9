package transport

// minRing is the smallest ring, in entries.
const minRing = 1024

// A ring is a queue without a bound of its own. It keeps its memory, unless a
// burst has made it large. The zero value is empty.
type ring[T any] struct {
	entries []T // their number is a power of two, or zero
	head    int // position of the first in use
	count   int
}

// push appends a batch.
func (r *ring[T]) push(batch ...T) {
	if r.count+len(batch) > len(r.entries) {
		size := max(minRing, len(r.entries))
		for size < r.count+len(batch) {
			size *= 2
		}
		r.resize(size)
	}
	tail := (r.head + r.count) & (len(r.entries) - 1)
	n := copy(r.entries[tail:], batch)
	copy(r.entries, batch[n:])
	r.count += len(batch)
}

// at is entry k, counted from the oldest.
func (r *ring[T]) at(k int) *T { return &r.entries[(r.head+k)&(len(r.entries)-1)] }

// drop removes the n oldest entries.
func (r *ring[T]) drop(n int) {
	first := r.entries[r.head:min(r.head+n, len(r.entries))]
	clear(first)
	clear(r.entries[:n-len(first)])
	r.head = (r.head + n) & (len(r.entries) - 1)
	r.count -= n
}

// shrink gives back the memory of an empty ring that a burst made large.
func (r *ring[T]) shrink() {
	if r.count == 0 && len(r.entries) > 64*minRing {
		r.resize(minRing)
	}
}

func (r *ring[T]) resize(size int) {
	entries := make([]T, size)
	tail := min(r.head+r.count, len(r.entries))
	n := copy(entries, r.entries[r.head:tail])
	copy(entries[n:], r.entries[:r.count-n])
	r.entries, r.head = entries, 0
}
