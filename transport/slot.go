package transport

import (
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// A slot is the record of one connection. Slots live in slabs without a
// pointer in them, so a garbage collection does not visit them; what needs
// pointers stands in slotBuffers, and only while bytes wait.
//
// It has 104 bytes, and slotBuffers 16: all that an idle connection costs.
//
// A slot that is not free belongs to one driver, which alone touches the
// socket. Its state moves one way: open, closing (no more sends, output still
// flows), ended (the id is gone for everybody), free.
type slot struct {
	id     atomic.Uint64 // the whole id, which is the guard; 0 while free
	flags  atomic.Uint32 // slotFlag bits
	queued atomic.Int32  // messages received and not yet done with

	mu       sync.Mutex // orders senders, the driver and whoever reads the counters
	fd       int32      // guarded by mu; -1 without a socket. Read, written and closed by the driver alone
	outBytes int32      // guarded by mu: accepted and not yet written
	listener uint16     // immutable while not free
	driver   uint8      // immutable while not free
	reason   Reason     // guarded by mu

	openNext  uint32 // guarded by the open chain's lock
	closeNext uint32 // guarded by the close chain's lock

	lastActive atomic.Uint32 // wheel ticks; written by the driver, read anywhere

	wheelLink // owned by the driver

	// Until the end, guarded by mu, how many messages it was sent before its
	// first one came. Then, owned by the driver, how many bytes were thrown away
	// since it was shut for writing.
	tally uint32

	opened int64 // immutable while not free; Unix nanoseconds

	bytesIn atomic.Uint64 // written by the driver, read anywhere

	messagesIn            uint64 // guarded by mu
	messagesOut, bytesOut uint64 // guarded by mu: accepted, less what was taken back
}

// slotBuffers holds what a connection needs only while bytes wait.
type slotBuffers struct {
	in  *partial // owned by the driver: the beginning of a message
	out *output  // guarded by the slot's mu
}

type slotFlag = uint32

const (
	flagEOF       slotFlag = 1 << iota // the client ended its input
	flagSent                           // something was sent after the last message arrived
	flagAnswered                       // something was sent after the last message was taken
	flagTouched                        // a send came while output was waiting
	flagBlocked                        // the kernel takes no more output for the time being
	flagClosing                        // no more sends; output is written, then the connection ends
	flagAbort                          // output is not waited for
	flagEnded                          // the id is gone
	flagLinger                         // shut for writing, input is thrown away until the client ends
	flagReset                          // the program wants a reset at the end, not what is unsent
	flagSilent                         // the end is not reported
	flagReported                       // the end is in the chain of closes
	flagHalfClose                      // the time a half-closed client may wait is running
	flagFlushing                       // the time for the last output is running
	flagPaused                         // the client's input waits for room in the inbox
	flagReadEnd                        // unread input has an end that is not announced again
	flagNew                            // the driver has not begun to serve it
	flagOpening                        // its wire is not ready: nobody knows of it yet
	flagUnread                         // its wire holds input that came before
	flagThrottled                      // the client's input waits for tokens of its rates
	flagHeld                           // messages that were read wait for them too
	flagTied                           // Config.Ended is to be told of the end
	flagPressed                        // Config.Relieved is to be told when output is written, or of the end

	// While one of these is set the slot is in use by someone and is not freed.
	holdSocket // the driver has a socket
	holdOpen   // in the chain of opens, or taken and not done with
	holdClose  // in the chain of closes, or about to be, or taken and not done with
	holdDirty  // in its driver's list of connections to attend to
	holdReady  // in its driver's list of connections with unread input

	holdAny = holdSocket | holdOpen | holdClose | holdDirty | holdReady
)

func (s *slot) has(f slotFlag) bool { return s.flags.Load()&f != 0 }

// isOpenLocked reports whether the slot still is the connection id and takes
// sends. The caller holds mu.
func (s *slot) isOpenLocked(id idspace.ID, guarded bool) bool {
	return (s.id.Load() == uint64(id) || !guarded) && !s.has(flagOpening|flagClosing|flagEnded)
}

// isFreeLocked reports whether the connection has ended and nobody uses the
// slot any more. The caller holds mu.
func (s *slot) isFreeLocked() bool {
	f := s.flags.Load()
	return f&flagEnded != 0 && f&holdAny == 0 && s.queued.Load() == 0
}

// clearLocked makes the slot as good as new. The caller holds mu.
func (s *slot) clearLocked() {
	s.id.Store(0)
	s.flags.Store(0)
	s.fd, s.outBytes, s.driver, s.listener, s.reason = -1, 0, 0, 0, ReasonNone
	s.lastActive.Store(0)
	s.tally, s.opened = 0, 0
	s.bytesIn.Store(0)
	s.messagesIn, s.messagesOut, s.bytesOut = 0, 0, 0
}
