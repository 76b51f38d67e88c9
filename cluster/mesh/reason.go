package mesh

import "fmt"

// Reason says why a stream ended. It is counted and logged, never sent.
type Reason uint8

// The reasons.
const (
	ReasonNone       Reason = iota
	ReasonIdle              // nothing to do for IdleTimeout; a clean end
	ReasonEOF               // the peer closed the stream
	ReasonIO                // reading or writing failed
	ReasonDead              // nothing was heard from the peer for DeadAfter
	ReasonGone              // PeerGone was called
	ReasonClosed            // this mesh stopped
	ReasonSuperseded        // the peer opened the same stream anew
	ReasonHandshake         // no well-formed handshake in time
	ReasonRefused           // the handshake was refused, by either end
	ReasonFull              // over a bound on streams
	ReasonTooLong           // a length over its limit
	ReasonMalformed         // not a frame of the frozen layout
	ReasonUnexpected        // a frame that has no place on this stream
	ReasonSequence          // a number that is not the next one
	ReasonAck               // an acknowledgement or outcome of what was never sent
	ReasonOutcomes          // too many outcomes not acknowledged
	ReasonParts             // too many messages in parts at once
	ReasonSlow              // the peer does not take what it is answered

	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "idle", "eof", "io", "dead", "gone", "closed", "superseded", "handshake", "refused", "full",
	"too-long", "malformed", "unexpected", "sequence", "ack", "outcomes", "parts", "slow",
}

// String returns the reason's name.
func (r Reason) String() string {
	if r >= reasonCount {
		return fmt.Sprintf("reason %d", uint8(r))
	}
	return reasonNames[r]
}

// isFault reports whether the peer broke the protocol.
func (r Reason) isFault() bool { return r == ReasonHandshake || r >= ReasonTooLong && r < reasonCount }

// reasonError is a reason as an error, for what found it to return or wrap.
type reasonError struct{ Reason }

// Error implements error.
func (e reasonError) Error() string { return "mesh: stream ended: " + e.String() }

// Refusal is the answer of the dialled end to a handshake. Append only.
type Refusal uint8

// The refusals.
const (
	RefusalNone           Refusal = 0  // accepted
	RefusalVersion        Refusal = 1  // no common protocol version
	RefusalCluster        Refusal = 2  // another cluster
	RefusalNotMe          Refusal = 3  // the dialled end is not the boot that was meant
	RefusalSelf           Refusal = 4  // a node dialled itself
	RefusalBlank          Refusal = 5  // a lane, and one end belongs to no cluster
	RefusalUnknownSession Refusal = 6  // a resume of a session that is not known
	RefusalStale          Refusal = 7  // a later attempt for the same stream came first
	RefusalFull           Refusal = 8  // over a bound on streams
	RefusalLane           Refusal = 9  // no such kind of stream, or no such lane
	RefusalRetired        Refusal = 10 // the life of the other end was retired
)

var refusalNames = [...]string{
	"accepted", "version", "cluster", "not-me", "self", "blank", "unknown-session", "stale", "full", "lane",
	"retired",
}

// String returns the refusal's name.
func (r Refusal) String() string {
	if int(r) >= len(refusalNames) {
		return fmt.Sprintf("refusal %d", uint8(r))
	}
	return refusalNames[r]
}

// hopeless reports whether another attempt in a few seconds cannot fare better.
func (r Refusal) hopeless() bool {
	return r == RefusalVersion || r == RefusalCluster || r == RefusalSelf || r == RefusalLane || r == RefusalRetired
}
