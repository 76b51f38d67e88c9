//go:build linux

package worker

import "encoding/binary"

// HeaderBytes is how much of a message the header takes, and so the length of
// the shortest one.
const HeaderBytes = 32

// toAll is the connection of a message that goes to many in one call.
const toAll = 1<<32 - 1

// A header is the beginning of a message. The rest is not looked at.
type header struct {
	size uint32 // of the message, with the header
	run  uint32 // counts the loads of a sender, from one
	to   uint32 // which connection, as numbered by Use; or toAll
	seq  uint64 // counts the messages of a run to that connection, from zero
	at   uint64 // Unix time in nanoseconds when it was sent; 0: not timed
}

// put writes h to the beginning of msg.
func (h *header) put(msg []byte) {
	_ = msg[HeaderBytes-1]
	binary.LittleEndian.PutUint32(msg, h.size)
	binary.LittleEndian.PutUint32(msg[4:], h.run)
	binary.LittleEndian.PutUint32(msg[8:], h.to)
	binary.LittleEndian.PutUint64(msg[16:], h.seq)
	binary.LittleEndian.PutUint64(msg[24:], h.at)
}

// headerOf reads the header of msg.
func headerOf(msg []byte) header {
	_ = msg[HeaderBytes-1]
	return header{
		size: binary.LittleEndian.Uint32(msg),
		run:  binary.LittleEndian.Uint32(msg[4:]),
		to:   binary.LittleEndian.Uint32(msg[8:]),
		seq:  binary.LittleEndian.Uint64(msg[16:]),
		at:   binary.LittleEndian.Uint64(msg[24:]),
	}
}
