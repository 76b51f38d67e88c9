package attach

import (
	"time"

	"flamingo/node"
)

// The constants of the protocol; docs/attach.md has them in words, and a test
// compares the two.

// The versions of the protocol that this package speaks, from the first to the
// second.
const (
	minVersion = 1
	maxVersion = 1
)

// magic begins a stream of msgpack, in both directions.
const magic = "flatta/1"

// Subprotocols of WebSocket, by the form that they mean.
const (
	subprotocolJSON    = "flamingo-attach-json"
	subprotocolMsgpack = "flamingo-attach-msgpack"
)

// Limits on the wire.
const (
	maxFrame       = 16 << 20 // bytes of a frame of a worker: a message of the default limit, however JSON escapes it, and more
	maxHello       = 4 << 10  // bytes of a frame before the hello was accepted
	maxActions     = 4096     // in one frame
	maxIDs         = 4096     // in one frame
	maxWindow      = 1 << 16  // events that are out
	maxWindowBytes = 64 << 20 // of payload that is out
	maxRequests    = 1024     // of one session without an answer
	maxAsks        = 256      // of one session at the same time
	maxWatches     = 4096     // of one session
	maxSessions    = 1024
	maxOpening     = 64 // streams before their hello
	maxName        = 64 // bytes of a worker's name

	defaultWindowBytes = 1 << 20
)

// Times of the protocol.
const (
	helloTimeout = 5 * time.Second
	pingEvery    = 10 * time.Second
	silence      = 30 * time.Second // of a worker that is taken for dead
	farewell     = time.Second      // for the end to be read
)

// frameKind is the first element of every frame. Append only.
type frameKind uint8

const (
	kindHello   frameKind = 1
	kindDone    frameKind = 2
	kindDo      frameKind = 3
	kindAsk     frameKind = 4
	kindWindow  frameKind = 5
	kindPing    frameKind = 6
	kindPong    frameKind = 7
	kindLeave   frameKind = 8
	kindWelcome frameKind = 16
	kindOpen    frameKind = 17
	kindData    frameKind = 18
	kindClosed  frameKind = 19
	kindResult  frameKind = 20
	kindAnswer  frameKind = 21
	kindWatched frameKind = 22
	kindEnd     frameKind = 23
)

// actionKind is the first element of every action. Append only.
type actionKind uint8

const (
	actionSend       actionKind = 1
	actionSendMany   actionKind = 2
	actionClose      actionKind = 3
	actionJoin       actionKind = 4
	actionLeave      actionKind = 5
	actionPublish    actionKind = 6
	actionCloseGroup actionKind = 7
	actionSetMeta    actionKind = 8
)

// A layout is what a record has behind its kind: a letter for each field, u an
// integer, s a text, b bytes, a an array of integers, x the array of actions; and
// the names of the fields, as JSON has them.
type layout struct {
	name   string
	fields string
	names  []string
}

var frameLayouts = [...]layout{
	kindHello:   {"hello", "uussuu", []string{"min", "max", "token", "name", "events", "bytes"}},
	kindDone:    {"done", "uuux", []string{"request", "first", "last", "actions"}},
	kindDo:      {"do", "ux", []string{"request", "actions"}},
	kindAsk:     {"ask", "uuusuub", []string{"request", "what", "id", "name", "number", "kind", "payload"}},
	kindWindow:  {"window", "uu", []string{"events", "bytes"}},
	kindPing:    {"ping", "", nil},
	kindPong:    {"pong", "", nil},
	kindLeave:   {"leave", "", nil},
	kindWelcome: {"welcome", "uuusuu", []string{"version", "session", "node_number", "node", "frame", "requests"}},
	kindOpen:    {"open", "uuuss", []string{"event", "again", "id", "local", "remote"}},
	kindData:    {"data", "uuuub", []string{"event", "again", "id", "kind", "payload"}},
	kindClosed:  {"closed", "uuus", []string{"event", "again", "id", "reason"}},
	kindResult:  {"result", "ua", []string{"request", "outcomes"}},
	kindAnswer:  {"answer", "uub", []string{"request", "outcome", "body"}},
	kindWatched: {"watched", "ussu", []string{"request", "state", "reason", "at"}},
	kindEnd:     {"end", "ss", []string{"reason", "text"}},
}

var actionLayouts = [...]layout{
	actionSend:       {"send", "uub", []string{"id", "kind", "payload"}},
	actionSendMany:   {"send-many", "aub", []string{"ids", "kind", "payload"}},
	actionClose:      {"close", "uus", []string{"id", "code", "reason"}},
	actionJoin:       {"join", "us", []string{"id", "group"}},
	actionLeave:      {"leave", "us", []string{"id", "group"}},
	actionPublish:    {"publish", "saub", []string{"group", "except", "kind", "payload"}},
	actionCloseGroup: {"close-group", "sus", []string{"group", "code", "reason"}},
	actionSetMeta:    {"set-meta", "uss", []string{"id", "key", "value"}},
}

// A record is a frame or an action. Which of its fields mean what its layout says:
// integers, texts and so on, each in the order of the layout.
type record struct {
	kind    uint8
	u       [5]uint64
	s       [2]string
	payload []byte
	list    []uint64
	actions []record
}

// reset empties r and keeps its memory.
func (r *record) reset() {
	*r = record{list: r.list[:0], actions: r.actions[:0]}
}

// grow returns a further action of r, which may have memory of an earlier one.
func (r *record) grow() *record {
	if n := len(r.actions); n < cap(r.actions) {
		r.actions = r.actions[:n+1]
	} else {
		r.actions = append(r.actions, record{})
	}
	a := &r.actions[len(r.actions)-1]
	a.reset()
	return a
}

// askKind says what is asked for. Append only.
type askKind uint8

const (
	askSend     askKind = 1
	askDescribe askKind = 2
	askGroups   askKind = 3
	askMembers  askKind = 4
	askCount    askKind = 5
	askWatch    askKind = 6
	askUnwatch  askKind = 7
)

var askNames = [...]string{
	askSend: "send", askDescribe: "describe", askGroups: "groups", askMembers: "members", askCount: "count",
	askWatch: "watch", askUnwatch: "unwatch",
}

// kindNames are those of messages in JSON.
var kindNames = [...]string{node.KindDefault: "", node.KindText: "text", node.KindBinary: "binary"}
