package mesh

import "slices"

// segmentSize is when a segment is full, in bytes: the most of one write, but
// for a frame that begins below it.
const segmentSize = 128 << 10

// A segment is a run of encoded frames.
type segment struct {
	buf      []byte
	last     uint64 // number of the last frame that has one; 0 for none
	numbered int    // frames that have a number
	frames   int    // all of them
}

// A journal holds encoded frames from when they are queued until they are
// written and, those with numbers, acknowledged. What is written is a part of a
// segment, not a copy; meanwhile the segment takes further frames behind it.
// After a break it is rewound, and the frames go out again as they are. Frames
// without a number may come twice by that.
//
// Whoever has a journal has a lock for it. Only the bytes that take returned may
// be read without.
type journal struct {
	enc  *encoder
	segs []*segment // oldest first
	free []*segment
	keep int // how many free ones at most

	at      int // the segment to be written next; len(segs) or the last one if none is left
	off     int // where in it
	gone    int // frames of it before off
	acked   uint64
	writing bool // bytes of segs[at] are being written
	bytes   int  // in segs
}

func newJournal(keep int) journal { return journal{enc: newEncoder(), keep: keep} }

// open returns the encoder that appends. close must follow, with the number of
// the frame, 0 if it has none.
func (j *journal) open() *encoder {
	n := len(j.segs)
	if n == 0 || len(j.segs[n-1].buf) >= segmentSize {
		j.segs = append(j.segs, j.fresh())
		n++
	}
	j.enc.buf = j.segs[n-1].buf
	return j.enc
}

func (j *journal) close(number uint64) {
	s := j.segs[len(j.segs)-1]
	j.bytes += len(j.enc.buf) - len(s.buf)
	s.buf, j.enc.buf = j.enc.buf, nil
	s.frames++
	if number != 0 {
		s.last = number
		s.numbered++
	}
}

func (j *journal) fresh() *segment {
	n := len(j.free)
	if n == 0 {
		return &segment{}
	}
	s := j.free[n-1]
	j.free = j.free[:n-1]
	return s
}

// pending reports whether there is something to be written.
func (j *journal) pending() bool {
	return j.at+1 < len(j.segs) || j.at < len(j.segs) && j.off < len(j.segs[j.at].buf)
}

// upTo returns the number of the last frame that take would return, 0 for none.
func (j *journal) upTo() uint64 {
	at := j.at
	if j.off == len(j.segs[at].buf) {
		at++
	}
	return j.segs[at].last
}

// take returns what is to be written next, if something is pending: how many
// frames it is, and the number of the last of its segment that has one, 0 for none.
// wrote must follow before another take.
func (j *journal) take() (b []byte, frames int, last uint64) {
	if j.off == len(j.segs[j.at].buf) {
		j.at, j.off, j.gone = j.at+1, 0, 0
	}
	s := j.segs[j.at]
	b, frames = s.buf[j.off:], s.frames-j.gone
	j.off, j.gone = len(s.buf), s.frames
	j.writing = true
	return b, frames, s.last
}

// wrote says that what take returned is not read any more.
func (j *journal) wrote() {
	j.writing = false
	j.release()
}

// acknowledge says that the frames up to number are not needed any more.
func (j *journal) acknowledge(number uint64) {
	j.acked = max(j.acked, number)
	j.release()
}

// release frees the segments that are written and acknowledged.
func (j *journal) release() {
	done := 0
	for done < j.at && j.segs[done].last <= j.acked {
		done++
	}
	for _, s := range j.segs[:done] {
		j.recycle(s)
	}
	if done > 0 {
		j.segs = slices.Delete(j.segs, 0, done)
		j.at -= done
	}
	if len(j.segs) == 1 && j.at == 0 && !j.writing && j.off == len(j.segs[0].buf) && j.segs[0].last <= j.acked {
		s := j.segs[0]
		j.bytes -= len(s.buf)
		*s = segment{buf: s.buf[:0]}
		j.off, j.gone = 0, 0
	}
}

func (j *journal) recycle(s *segment) {
	j.bytes -= len(s.buf)
	if len(j.free) < j.keep {
		*s = segment{buf: s.buf[:0]}
		j.free = append(j.free, s)
	}
}

// rewind makes the frame with that number the next to be written. What stands
// before it is not needed any more. Nothing is being written.
func (j *journal) rewind(number uint64) {
	j.acked = max(j.acked, number-1)
	done := 0
	for done < len(j.segs) && j.segs[done].last < number {
		j.recycle(j.segs[done])
		done++
	}
	j.segs = slices.Delete(j.segs, 0, done)
	j.at, j.off, j.gone, j.writing = 0, 0, 0, false
	if len(j.segs) > 0 {
		j.off, j.gone = j.segs[0].find(number)
	}
}

// find returns where in s the frame with that number is, and how many frames
// are before it.
func (s *segment) find(number uint64) (off, before int) {
	next := s.last - uint64(s.numbered) + 1
	for {
		if frameKind(s.buf[off+kindAt]).numbered() {
			if next == number {
				return off, before
			}
			next++
		}
		off += frameSize(s.buf[off:])
		before++
	}
}

// frame returns the frame with that number, which must be there.
func (j *journal) frame(number uint64) []byte {
	i := j.at
	for j.segs[i].last < number {
		i++
	}
	off, _ := j.segs[i].find(number)
	b := j.segs[i].buf[off:]
	return b[:frameSize(b)]
}

// unwritten calls f for every frame that is to be written yet.
func (j *journal) unwritten(f func(frame []byte)) {
	off := j.off
	for i := j.at; i < len(j.segs); i++ {
		for b := j.segs[i].buf[off:]; len(b) > 0; b = b[frameSize(b):] {
			f(b[:frameSize(b)])
		}
		off = 0
	}
}

// rest drops every segment, free ones too, if nothing is to be written and what
// was written is acknowledged.
func (j *journal) rest() {
	if !j.writing && !j.pending() {
		j.clear()
	}
}

// room returns how many bytes the segments have room for, free ones included.
func (j *journal) room() (bytes int) {
	for _, s := range j.segs {
		bytes += cap(s.buf)
	}
	for _, s := range j.free {
		bytes += cap(s.buf)
	}
	return bytes
}

// clear drops everything, free segments too.
func (j *journal) clear() {
	*j = journal{enc: j.enc, keep: j.keep, acked: j.acked}
}
