package mesh

// A window is the room of one lane, in bytes: what is queued and what is not
// acknowledged. Senders that find none wait in line. The lane's mu guards it.
type window struct {
	limit, used int
	line        []*waiter // in the order of arrival
}

type waiter struct {
	size    int
	granted chan struct{} // closed by the lane when size bytes are taken for it
}

// tryLocked takes size bytes. It never overtakes a waiter.
func (w *window) tryLocked(size int) bool {
	if len(w.line) > 0 || w.used+size > w.limit {
		return false
	}
	w.used += size
	return true
}

func (w *window) waitLocked(size int) *waiter {
	q := &waiter{size: size, granted: make(chan struct{})}
	w.line = append(w.line, q)
	return q
}

// leaveLocked ends the wait of q. It reports true if q had its room already,
// which stays taken.
func (w *window) leaveLocked(q *waiter) (granted bool) {
	for i, other := range w.line {
		if other == q {
			w.line = append(w.line[:i], w.line[i+1:]...)
			w.releaseLocked(0) // the next may need less
			return false
		}
	}
	return true
}

// releaseLocked gives size bytes back and lets in who fits, in order.
func (w *window) releaseLocked(size int) {
	w.used -= size
	for len(w.line) > 0 && w.used+w.line[0].size <= w.limit {
		w.used += w.line[0].size
		close(w.line[0].granted)
		w.line[0] = nil
		w.line = w.line[1:]
	}
}
