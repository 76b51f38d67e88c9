package transport

import "flamingo/idspace"

// writePiece is how many bytes a writer hands to one call at most. The queue
// of a connection shrinks, and senders learn of it, when a call has returned.
const writePiece = 64 << 10

// timedPiece is writePiece for a listener with a WriteTimeout: a call that has not
// returned does not say how much the kernel took.
const timedPiece = 16 << 10

// buffersPerWrite is how many chunks one call takes at most.
const buffersPerWrite = 64

// write writes what there is, waiting for the client as long as nobody
// interrupts. It reports false if the connection is broken.
func (c *portableConn) write(todo writing) bool {
	if todo.session != nil {
		return c.writeSealed(todo)
	}
	return c.writePlain(todo.out)
}

func (c *portableConn) writePlain(out *output) bool {
	for out.writing != nil && !c.s.has(flagAbort) {
		n, err := 0, error(nil)
		if out.written < len(out.writing.data) { // messages may be empty
			n, err = c.writeOnce(out)
		}
		if n > 0 || err == nil {
			messages, bytes := out.wrote(n)
			c.d.traffic.out(0, n-bytes)
			c.wrote(out, messages, bytes, n)
			tellWritten(out.takeSettled())
		}
		if err != nil {
			return false
		}
	}
	return true
}

func (c *portableConn) writeOnce(out *output) (int, error) {
	first, piece := out.writing.data[out.written:], writePiece
	if c.timed() {
		piece = timedPiece
	}
	if out.writing.next == nil || len(first) >= piece {
		return c.nc.Write(first[:min(len(first), piece)])
	}
	size := len(first)
	list := append(c.buffers[:0], first)
	for ch := out.writing.next; ch != nil && len(list) < buffersPerWrite && size+len(ch.data) <= piece; ch = ch.next {
		list = append(list, ch.data)
		size += len(ch.data)
	}
	c.buffers = list
	n, err := list.WriteTo(c.nc) // consumes list, and forgets what is written
	clear(c.buffers)
	return int(n), err
}

// timed reports whether output has a time, WriteTimeout.
func (c *portableConn) timed() bool { return c.d.t.bound[c.s.listener].WriteTimeout > 0 }

func (c *portableConn) writeSealed(todo writing) bool {
	se, out := todo.session, todo.out
	for !c.s.has(flagAbort) {
		more, err := se.load(out, todo.closing)
		switch {
		case !more && err == nil && out != nil && out.writing != nil: // messages may be empty
			messages, _ := out.wrote(0)
			c.wrote(out, messages, 0, 0)
			tellWritten(out.takeSettled())
			return true
		case !more:
			return err == nil
		}
		rest := se.sealing.rest()
		if c.timed() {
			rest = rest[:min(len(rest), timedPiece)]
		}
		n, err := c.nc.Write(rest)
		messages, bytes := se.wrote(out, n)
		c.wrote(out, messages, bytes, n)
		if out != nil {
			tellWritten(out.takeSettled())
		}
		if err != nil {
			return false
		}
	}
	return true
}

// wrote counts what of out is written: bytes of messages, and how many the system
// took.
func (c *portableConn) wrote(out *output, messages, bytes, taken int) {
	c.d.traffic.out(messages, bytes)
	c.s.mu.Lock()
	c.d.t.wroteLocked(c.s, out, bytes)
	c.d.t.stallLocked(c.s, c.i, true, taken)
	relieved, id := c.d.t.relieveLocked(c.s), idspace.ID(c.s.id.Load())
	c.s.mu.Unlock()
	if relieved {
		c.d.t.cfg.Relieved(id)
	}
}
