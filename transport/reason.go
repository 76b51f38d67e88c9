package transport

// Reason is why a connection ended. The first cause decides it, once.
// Values are append-only: they are counted and shown by name.
type Reason uint8

// The reasons.
const (
	ReasonNone      Reason = iota // still open
	ReasonSent                    // SendClose on this node
	ReasonClient                  // the client closed its end
	ReasonError                   // the network failed, or the client reset the connection
	ReasonIdle                    // nothing received and nothing sent for ActivityTimeout, or IdleTimeout
	ReasonSlow                    // the client let its output queue overflow, or took none of it for too long
	ReasonTooLarge                // the client sent a message over the limit
	ReasonProtocol                // the client broke the listener's framing
	ReasonShutdown                // this node is closing
	ReasonRemote                  // SendClose on another node
	ReasonTimeout                 // a step had a time and took longer, such as a handshake
	ReasonRefused                 // the client is none that the listener takes
	ReasonLifetime                // the connection reached the listener's MaxLifetime
	ReasonDrained                 // this node is drained, and it was the connection's turn
	ReasonNodeEnded               // its node left, or began anew; said of it by others
	ReasonRetired                 // the cluster has retired its node
	reasonCount

	ReasonUnknown Reason = 255 // nobody remembers
)

var reasonNames = [reasonCount]string{
	"open", "sent", "client", "error", "idle", "slow", "too-large", "protocol", "shutdown", "remote",
	"timeout", "refused", "lifetime", "drained", "node-ended", "retired",
}

// String returns the reason's name as it stands in logs and metrics.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return "unknown"
}

// abrupt reports whether the connection ends without writing what is queued.
func (r Reason) abrupt() bool { return r == ReasonError || r == ReasonIdle || r == ReasonSlow }
