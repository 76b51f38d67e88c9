package mesh

import (
	"encoding/binary"
	"math"
	"sort"
	"time"
)

// This file keeps the deadlines of what a lane carries. They are the sender's, by
// its own clock, and go over the wire as the time that is left, which is set when
// the frame is handed to a stream, each time. So a frame that waits, for its turn or
// for the peer to come back, loses the time that it waits.

// A timedFrame is a frame in the journal that says how much time is left. It may
// have become a void, in which the place means nothing.
type timedFrame struct {
	seq    uint64
	seg    *segment
	at     int // in seg: 4 bytes
	ticket *ticket
}

// timeLeft is how the time until deadline, by Mesh.clock, travels: 0 for no
// deadline, else milliseconds, rounded up, and one more.
func timeLeft(deadline, now int64) uint64 {
	if deadline == 0 {
		return 0
	}
	return 1 + uint64((max(deadline-now, 0)+int64(time.Millisecond)-1)/int64(time.Millisecond))
}

// timeOf is the time that a frame says is left: none for no deadline, and over for
// one that has passed.
func timeOf(v uint64) (left time.Duration, none, over bool) {
	if v == 0 {
		return 0, true, false
	}
	return time.Duration(min(v-1, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond, false, v == 1
}

// deadlineIn returns the deadline that is so long from now on, by Mesh.clock.
func (m *Mesh) deadlineIn(left time.Duration) int64 {
	now := m.clock()
	if int64(left) > math.MaxInt64-now {
		return 0
	}
	return now + int64(left)
}

// noteTimeLocked notes the frame that was just encoded under the number l.next,
// whose time stands at that place of its segment; 0 is none.
func (l *lane) noteTimeLocked(at int, t *ticket) {
	if at != 0 && t != nil && t.deadline != 0 {
		l.timed = append(l.timed, timedFrame{l.next, l.log.segs[len(l.log.segs)-1], at, t})
	}
}

// setTimesLocked sets the time that is left in the frames behind after, up to last,
// which are to be handed over. Of one whose time is over, the owner says so.
func (l *lane) setTimesLocked(after, last uint64) {
	if len(l.timed) == 0 {
		return
	}
	now := l.link.mesh.clock()
	for _, f := range l.timed[l.timedFrom(after):] {
		if f.seq > last {
			return
		}
		if left := timeLeft(f.ticket.deadline, now); left <= math.MaxUint32 { // else the clock was set back
			binary.BigEndian.PutUint32(f.seg.buf[f.at:], uint32(left))
		}
	}
}

// timedFrom returns the place of the first timed frame behind after.
func (l *lane) timedFrom(after uint64) int {
	return sort.Search(len(l.timed), func(i int) bool { return l.timed[i].seq > after })
}

// trimTimedLocked forgets the frames up to seq.
func (l *lane) trimTimedLocked(seq uint64) {
	if len(l.timed) == 0 {
		return
	}
	if l.timed = l.timed[l.timedFrom(seq):]; len(l.timed) == 0 {
		l.timed = nil
	}
}

// expire ends the asynchronous sends whose time is over and that were not handed
// to a stream.
func (l *lane) expire() {
	l.mu.Lock()
	defer l.unlock()
	if len(l.async) == 0 {
		return
	}
	now := l.link.mesh.clock()
	for t := range l.async {
		if t.deadline != 0 && now >= t.deadline && l.voidLocked(t) {
			l.finishLocked(t, only(OutcomeExpired))
		}
	}
	l.settledLocked()
}
