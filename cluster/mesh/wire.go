package mesh

import "fmt"

// The constants of the protocol; docs/protocol.md has them in words, and a
// test compares the two.

// Magic begins every stream, in both directions. Whoever accepts streams for
// several protocols on one port tells the mesh's by it; Serve expects it.
const Magic = "flmesh/1"

// The versions of the protocol that this package speaks, from the first to the
// second.
const (
	MinVersion = 1
	MaxVersion = 1
)

// features are what an end may do beside what every end of its version does, a
// bit each. Both ends say what they have, and do on their link what both have.
// Append only: a bit that means something never means something else.
type features uint64

const (
	featureWatch    features = 1 << 0 // the frames watch and closed
	featurePressure features = 1 << 1 // the frame pressure

	allFeatures = featureWatch | featurePressure
)

// Limits on the wire.
const (
	headerLen = 4 // bytes: the length of what follows, big-endian

	maxFrame = 128 << 10 // bytes after the header: a part, or maxIDs ids and as much payload as one
	maxHello = 16 << 10  // bytes after the header: maxNumbers numbers and the fixed fields

	partSize = 64 << 10 // bytes of payload in one frame; a longer one travels in parts
	maxParts = 4        // messages in parts at once, per lane

	maxIDs      = 1024      // ids in one frame
	maxNumbers  = 1024      // node numbers in one frame; equal to maxIDs, as one decoder reads both
	maxLanes    = 16        // lanes of a link
	maxOutcomes = 512 << 10 // outcomes of a lane that are not acknowledged
	maxRequest  = 64 << 10  // bytes of a request's or a reply's body
	maxReason   = 123       // bytes of a close's reason: RFC 6455 §5.5, less the code
	maxGroup    = 255       // bytes of a group's name

	// assemblyOverhead is what the frame of a message in parts may hold beside
	// its payload: maxIDs ids of 9 bytes, and the other fields.
	assemblyOverhead = 16 << 10
)

// frameKind is the first element of every frame. Append only.
type frameKind uint8

const (
	kindData       frameKind = 1
	kindWait       frameKind = 2
	kindMany       frameKind = 3
	kindClose      frameKind = 4
	kindCloseWait  frameKind = 5
	kindPart       frameKind = 6
	kindVoid       frameKind = 7
	kindOutcomeAck frameKind = 8
	kindAck        frameKind = 9
	kindOutcome    frameKind = 10
	kindPing       frameKind = 11
	kindPong       frameKind = 12
	kindRequest    frameKind = 13
	kindReply      frameKind = 14
	kindNumbers    frameKind = 15
	kindHello      frameKind = 16
	kindWelcome    frameKind = 17
	kindPublish    frameKind = 18
	kindPressure   frameKind = 19
	kindWatch      frameKind = 20
	kindClosed     frameKind = 22
)

// numbered reports whether a frame of a lane has a number in its direction, by
// which it is acknowledged and sent again after a break.
func (k frameKind) numbered() bool { return k <= kindVoid || k == kindOutcome || k == kindPublish }

// layouts has the fields of every frame, in order: u an unsigned integer, b
// bytes, a an array of unsigned integers. The kind itself is the first u.
var layouts = [...]struct{ name, fields string }{
	kindData:       {"data", "uuuub"},
	kindWait:       {"wait", "uuuuuub"},
	kindMany:       {"many", "uuaub"},
	kindClose:      {"close", "uuuub"},
	kindCloseWait:  {"close-wait", "uuuub"},
	kindPart:       {"part", "uuuub"},
	kindVoid:       {"void", "uub"},
	kindOutcomeAck: {"outcome-ack", "uu"},
	kindAck:        {"ack", "uu"},
	kindOutcome:    {"outcome", "uuuuuuuu"},
	kindPing:       {"ping", "uu"},
	kindPong:       {"pong", "uuu"},
	kindRequest:    {"request", "uuub"},
	kindReply:      {"reply", "uuub"},
	kindNumbers:    {"numbers", "uua"},
	kindHello:      {"hello", "uuuubbbuubuuuuua"},
	kindWelcome:    {"welcome", "uuuuuubbuuuua"},
	kindPublish:    {"publish", "uuuuubab"},
	kindPressure:   {"pressure", "uuuu"},
	kindWatch:      {"watch", "uua"},
	kindClosed:     {"closed", "uuuuu"},
}

// streamKind says what a stream is for.
type streamKind uint8

const (
	streamControl streamKind = 0
	streamLane    streamKind = 1
)

// RequestKind names a request on a control stream. Append only.
type RequestKind uint8

// The kinds of requests.
const (
	RequestDescribe RequestKind = 1 // answered by the mesh: [Owner].Describe
	RequestPromise  RequestKind = 2 // the promise round of a bootstrap
	RequestRelease  RequestKind = 3 // takes back what a promise round asked for
	RequestGrant    RequestKind = 4
	RequestConfirm  RequestKind = 5 // a committed read of the registry
	RequestEndLife  RequestKind = 6
	RequestJoin     RequestKind = 7 // changes of the set of voters
	RequestRetire   RequestKind = 13
	RequestContact  RequestKind = 14 // when a life was last there

	RequestTie       RequestKind = 8  // what is tied to a connection: groups, metadata
	RequestMembers   RequestKind = 9  // members of a group
	RequestGroups    RequestKind = 10 // groups with members
	RequestInterests RequestKind = 11 // tells which groups have members

	RequestLoad        RequestKind = 15 // what a node does
	RequestDrain       RequestKind = 16 // begins the drain of a node
	RequestConnections RequestKind = 17 // connections of a node, a page at a time
)

var requestNames = [...]string{
	RequestDescribe: "describe", RequestPromise: "promise", RequestRelease: "release", RequestGrant: "grant",
	RequestConfirm: "confirm", RequestEndLife: "end-life", RequestJoin: "join",
	RequestRetire: "retire", RequestContact: "contact",
	RequestTie: "tie", RequestMembers: "members", RequestGroups: "groups", RequestInterests: "interests",
	RequestLoad: "load", RequestDrain: "drain",
	RequestConnections: "connections",
}

// String returns the request's name.
func (k RequestKind) String() string {
	if int(k) >= len(requestNames) || requestNames[k] == "" {
		return fmt.Sprintf("request %d", uint8(k))
	}
	return requestNames[k]
}

// blank reports whether an end without a cluster takes part in k: the promise
// round and the asking for a number, no more.
func (k RequestKind) blank() bool {
	return k == RequestPromise || k == RequestRelease || k == RequestGrant
}

// replyCode says how a request ended. Append only.
type replyCode uint8

const (
	replyOK       replyCode = 0
	replyFailed   replyCode = 1 // the handler returned an error
	replyUnknown  replyCode = 2 // no handler for this kind
	replyBusy     replyCode = 3 // too many under way
	replyTooLarge replyCode = 4 // the reply is over the limit
	replyBlank    replyCode = 5 // an end of the stream has no cluster
)

var replies = [...]struct {
	name string
	err  error
}{
	replyOK:       {"ok", nil},
	replyFailed:   {"failed", ErrRequestFailed},
	replyUnknown:  {"unknown", ErrUnknownRequest},
	replyBusy:     {"busy", ErrBackpressure},
	replyTooLarge: {"too-large", ErrTooLarge},
	replyBlank:    {"blank", ErrBlank},
}

// err returns the sentinel of c.
func (c replyCode) err() error {
	if int(c) >= len(replies) {
		return ErrRequestFailed
	}
	return replies[c].err
}
