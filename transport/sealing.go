package transport

import (
	"sync"
)

// sealBudget is how many bytes of output are encrypted at a time. What is
// encrypted can neither be withdrawn nor be known not to have begun.
const sealBudget = 64 << 10

// recordPlain is how much clear text a record holds (RFC 8446, 5.1).
const recordPlain = 16 << 10

// recordExtra is what a record adds to it at most, with every suite of
// crypto/tls: header, explicit nonce or IV, padding and sum.
const recordExtra = 128

// A sealing is what of a connection's output is encrypted and not written. It
// belongs to whoever writes the connection.
type sealing struct {
	data  []byte // encrypted
	at    int    // bytes of it that are written
	marks []mark // the records of output that are not written whole
	plain []byte // scratch: clear text of a record
}

// A mark is a record of output.
type mark struct {
	begin, end int // where it stands in data
	plain      int // bytes of output that it holds
}

var sealings = sync.Pool{New: func() any {
	return &sealing{
		data:  make([]byte, 0, sealBudget+sealBudget/recordPlain*recordExtra),
		plain: make([]byte, 0, recordPlain),
	}
}}

// load makes something to write of what the session owes: output, which may be
// nil, and with closing, behind all of that, close_notify. It reports whether
// there is something to write. An error says that nothing more can be encrypted.
func (se *session) load(out *output, closing bool) (more bool, err error) {
	if se.sealing != nil {
		return true, nil
	}
	if !se.owes(closing) && (out == nil || out.writing == nil) {
		return false, nil
	}
	p := sealings.Get().(*sealing)
	se.mu.Lock()
	se.out = append(p.data[:0], se.out...)
	ready := se.ready
	se.mu.Unlock()
	if ready {
		if out != nil {
			err = p.seal(se, out)
		}
		if err == nil && closing && (out == nil || out.sealed == out.unwritten()) {
			err = se.part()
		}
	}
	se.mu.Lock()
	p.data, se.out = se.out, nil
	if se.room != nil {
		close(se.room)
		se.room, se.relieved = nil, true
	}
	more = len(p.data) > 0
	se.writing = more
	se.mu.Unlock()
	if more {
		se.sealing = p
	} else {
		p.put()
	}
	return more, err
}

// seal encrypts a budget of output into the session.
func (p *sealing) seal(se *session, out *output) error {
	for out.sealed < sealBudget {
		plain := out.unsealed(p.plain[:0], recordPlain)
		if len(plain) == 0 {
			return nil
		}
		begin := se.unwritten()
		if _, err := se.conn.Write(plain); err != nil {
			return err
		}
		out.sealed += len(plain)
		p.marks = append(p.marks, mark{begin, se.unwritten(), len(plain)})
	}
	return nil
}

func (se *session) unwritten() int {
	se.mu.Lock()
	defer se.mu.Unlock()
	return len(se.out)
}

// part encrypts close_notify.
func (se *session) part() error {
	se.mu.Lock()
	parted := se.parted
	se.parted = true
	se.mu.Unlock()
	if parted {
		return nil
	}
	return se.conn.CloseWrite()
}

// rest is what is to be written.
func (p *sealing) rest() []byte { return p.data[p.at:] }

// wrote notes that n bytes are written. It returns what output.wrote does.
func (se *session) wrote(out *output, n int) (messages, bytes int) {
	p := se.sealing
	p.at += n
	plain, done := 0, 0
	for done < len(p.marks) && p.marks[done].end <= p.at {
		plain += p.marks[done].plain
		done++
	}
	p.marks = p.marks[:copy(p.marks, p.marks[done:])]
	if out != nil {
		out.begun = 0
		if len(p.marks) > 0 && p.marks[0].begin < p.at {
			out.begun = p.marks[0].plain
		}
		messages, bytes = out.wrote(plain)
	}
	if p.at == len(p.data) {
		se.sealing = nil
		p.put()
		se.mu.Lock()
		se.writing = false
		se.mu.Unlock()
	}
	return messages, bytes
}

// put gives the memory to the next one. A buffer that grew is not kept.
func (p *sealing) put() {
	if cap(p.data) > 2*sealBudget {
		return
	}
	p.data, p.at, p.marks = p.data[:0], 0, p.marks[:0]
	sealings.Put(p)
}

// unsealed returns up to limit bytes of output behind what is encrypted: where
// they stand, or if they are of several chunks, appended to scratch.
func (o *output) unsealed(scratch []byte, limit int) []byte {
	skip := o.written + o.sealed
	for c := o.writing; c != nil; c = c.next {
		if skip >= len(c.data) {
			skip -= len(c.data)
			continue
		}
		piece := c.data[skip:]
		skip = 0
		if len(scratch) == 0 && (len(piece) >= limit || c.next == nil) {
			return piece[:min(len(piece), limit)]
		}
		scratch = append(scratch, piece[:min(len(piece), limit-len(scratch))]...)
		if len(scratch) == limit {
			break
		}
	}
	return scratch
}

// unwritten is how many bytes are being written.
func (o *output) unwritten() int {
	n := -o.written
	for c := o.writing; c != nil; c = c.next {
		n += len(c.data)
	}
	return n
}

// sessionOf returns the TLS of a connection, or nil. It is for the driver, and
// for whoever holds the slot's mu.
func (t *Transport) sessionOf(i uint32) *session {
	if w := t.table.wire(i); w != nil {
		return w.session
	}
	return nil
}

// owesLocked reports whether a connection has something to write beside its
// output. The caller holds the slot's mu.
func (t *Transport) owesLocked(s *slot, i uint32) bool {
	se := t.sessionOf(i)
	return se != nil && se.owes(s.has(flagClosing))
}
