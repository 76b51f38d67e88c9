package transport

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
	"unique"

	"flamingo/framing"
	"flamingo/transport/websocket"
)

// Kind is how a message travels over WebSocket. Other connections have one
// kind of message, and do not heed it.
type Kind uint8

// The kinds of messages.
const (
	KindDefault Kind = iota // as WebSocket.Send says; of received messages: not over WebSocket
	KindText                // text in UTF-8
	KindBinary
)

var kindNames = []string{"default", "text", "binary"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Bounds of the settings of a WebSocket listener.
const (
	DefaultPing        = 30 * time.Second
	DefaultPongTimeout = 10 * time.Second
)

// WebSocket are the settings of a listener for WebSockets, RFC 6455, without
// extensions: a message of the program is a message there, and bytes are not
// framed any further.
type WebSocket struct {
	// Path is the path of the request that opens a connection; other requests
	// are answered with 404. Empty means any.
	Path string

	// Origins are those of the web pages that may connect, such as
	// https://example.com, or * for every one. Empty means pages of the host that
	// the request is for. A client that is no browser sends no origin and is
	// not refused for it.
	Origins []string

	// Subprotocols are the names that the program knows, the preferred one
	// first. A client that offers none of them is taken without one.
	Subprotocols []string

	// Send is the kind of messages whose sender does not say: KindText or
	// KindBinary. Zero means KindText; what is not UTF-8 is then refused with
	// framing.ErrUnframeable.
	Send Kind

	// MaxMessage is the longest message in bytes, in each direction. Zero means
	// framing.DefaultMaxMessage; at most framing.MaxMessageLimit.
	MaxMessage int

	// Ping is how long a client may be silent until it is sent a ping. Zero
	// means DefaultPing; negative means never; else 1 ms to 1 h.
	Ping time.Duration

	// PongTimeout ends a connection from which nothing came for so long after a
	// ping. Zero means DefaultPongTimeout; else 1 ms to 1 h.
	PongTimeout time.Duration
}

// withDefaults returns the settings with the defaults filled in.
func (w WebSocket) withDefaults() *WebSocket {
	if w.Send == KindDefault {
		w.Send = KindText
	}
	if w.MaxMessage == 0 {
		w.MaxMessage = framing.DefaultMaxMessage
	}
	if w.Ping == 0 {
		w.Ping = DefaultPing
	}
	if w.PongTimeout == 0 {
		w.PongTimeout = DefaultPongTimeout
	}
	return &w
}

// faults returns what is wrong with the settings.
func (w *WebSocket) faults() (faults []error) {
	bad := func(option string, value any, allowed string) {
		faults = append(faults, fmt.Errorf("%w: %s %v: allowed is %s", ErrBadOption, option, value, allowed))
	}
	if w.Send > KindBinary {
		bad("send", uint8(w.Send), "text or binary")
	}
	if w.MaxMessage < 0 || w.MaxMessage > framing.MaxMessageLimit {
		bad("max-message", w.MaxMessage, fmt.Sprintf("1 to %d", framing.MaxMessageLimit))
	}
	if w.Ping > time.Hour || w.Ping > 0 && w.Ping < time.Millisecond {
		bad("ping", w.Ping, "1ms to 1h, or negative for none")
	}
	if w.PongTimeout < 0 || w.PongTimeout > time.Hour || w.PongTimeout > 0 && w.PongTimeout < time.Millisecond {
		bad("pong-timeout", w.PongTimeout, "0 or 1ms to 1h")
	}
	if _, err := websocket.NewUpgrader(w.upgrade()); err != nil {
		faults = append(faults, fmt.Errorf("%w: %w", ErrBadOption, err))
	}
	return faults
}

func (w *WebSocket) upgrade() websocket.UpgradeConfig {
	return websocket.UpgradeConfig{Path: w.Path, Origins: w.Origins, Subprotocols: w.Subprotocols}
}

// webSocket reads the options of a WebSocket listener.
func (o *optionReader) webSocket(path string) *WebSocket {
	w := &WebSocket{
		Path:         path,
		Origins:      o.list("origin"),
		Subprotocols: o.list("subprotocol"),
		Ping:         o.duration("ping"),
		PongTimeout:  o.duration("pong-timeout"),
		MaxMessage:   o.integer("max-message"),
	}
	if o.values.Has("send") {
		w.Send = KindText + Kind(o.choice("send", kindNames[KindText:]))
	}
	return w
}

// webSocketOptions are the options that only a WebSocket listener has.
var webSocketOptions = []string{"max-message", "origin", "subprotocol", "ping", "pong-timeout", "send"}

// A webServer is what the connections of one WebSocket listener share.
type webServer struct {
	upgrader *websocket.Upgrader
	decoder  *websocket.Decoder
	encoders [len(kinds)]webEncoder // by Kind
}

// kinds are the kinds that a program can send.
var kinds = [...]Kind{KindDefault, KindText, KindBinary}

// newWebServer takes settings in which nothing is at fault.
func newWebServer(w *WebSocket) *webServer {
	upgrader, err := websocket.NewUpgrader(w.upgrade())
	if err != nil {
		panic("settings were not checked: " + err.Error())
	}
	decoder, err := websocket.NewDecoder(websocket.DecoderConfig{MaxMessage: w.MaxMessage})
	if err != nil {
		panic("settings were not checked: " + err.Error())
	}
	server := &webServer{upgrader: upgrader, decoder: decoder}
	for _, kind := range kinds {
		frame := websocket.Text
		if kind == KindBinary || kind == KindDefault && w.Send == KindBinary {
			frame = websocket.Binary
		}
		server.encoders[kind] = webEncoder{frame, w.MaxMessage}
	}
	return server
}

// A webEncoder is the encoder of messages of one kind.
type webEncoder struct {
	kind  websocket.Kind
	limit int
}

func (e *webEncoder) Encode(dst, msg []byte) ([]byte, error) {
	if len(msg) > e.limit {
		return dst, fmt.Errorf("%w: %d bytes, limit %d", framing.ErrTooLarge, len(msg), e.limit)
	}
	framed, err := websocket.AppendMessage(dst, e.kind, msg)
	if err != nil {
		return dst, fmt.Errorf("%w: %w; send it as %s", framing.ErrUnframeable, err, KindBinary)
	}
	return framed, nil
}

// A webSocket is the layer of one connection. An idle one is 48 bytes.
type webSocket struct {
	state   websocket.State // owned by the reader
	about   unique.Handle[WebSocketInfo]
	request *websocket.Request // guarded by the slot's mu: until the open is taken
	end     *ending            // guarded by the slot's mu: how to end, if somebody has said
	heard   uint32             // guarded by the slot's mu: tick of the last byte
	pinged  uint32             // guarded by the slot's mu: tick of the ping that nothing came after, or 0
	pongs   atomic.Int32       // answers that are not out; added to by the reader, taken from by who writes
	bye     bool               // guarded by the slot's mu: the close frame is among the output
}

// An ending is the content of a close frame.
type ending struct {
	code   websocket.CloseCode
	reason string
}

// newEnding returns what a program asks for, nil if it asks for nothing.
func newEnding(code int, reason string) (*ending, error) {
	if code == 0 && reason == "" {
		return nil, nil //nolint:nilnil // nothing is asked for
	}
	if code == 0 {
		code = int(websocket.CloseNormal)
	}
	c := websocket.CloseCode(code)
	if int(c) != code || !c.ForApplication() {
		return nil, fmt.Errorf("%w: %d: allowed are 1000, 1001, 1003, 1007 to 1009, 1011 to 1014 and 3000 to 4999", ErrBadCloseCode, code)
	}
	return &ending{c, reason}, nil
}

// CheckClose is for who has a connection of another node ended with a code and a
// reason: it returns the reason as a client gets it, or ErrBadCloseCode, as
// SendCloseWith would.
func CheckClose(code int, reason string) (string, error) {
	end, err := newEnding(code, reason)
	if err != nil || end == nil {
		return "", err
	}
	return websocket.CutReason(end.reason), nil
}

// WebSocketInfo is what a client asked for when it opened a WebSocket, and got.
type WebSocketInfo struct {
	Path        string `json:"path"` // as spelled, its percent-encoding included
	Host        string `json:"host"`
	Origin      string `json:"origin,omitempty"` // of the web page; empty if there is none
	Subprotocol string `json:"subprotocol,omitempty"`
}

// info returns what Describe shows. Most clients of a listener share it, so it
// is kept once for all that are alike.
func (w *webSocket) info() *WebSocketInfo {
	info := w.about.Value()
	return &info
}

// maxPongs is how many answers to pings wait to be written. A client that sends
// more pings than it takes answers gets none for the rest.
const maxPongs = 8

// upgrade takes the opening handshake. It returns what followed it.
func (in *intake) upgrade(s *slot, i uint32, w *wire, data []byte) (rest []byte, err error) {
	t, o := in.t, w.opening
	searched := len(o.head)
	o.head = append(o.head, data...)
	answer := t.bound[s.listener].web.upgrader.Answer(o.head, searched)
	if answer == nil {
		return nil, nil
	}
	s.mu.Lock()
	t.sayLocked(s, i, answer.Response)
	if answer.Accepted() {
		r := answer.Request
		w.web.heard = t.tick()
		w.web.about = unique.Make(WebSocketInfo{r.Path, r.Host, r.Origin, r.Subprotocol})
		if t.cfg.Ignore&IgnoreOpens == 0 {
			w.web.request = &r
		}
	}
	s.mu.Unlock()
	t.attendSoon(s, i)
	if !answer.Accepted() {
		return nil, fmt.Errorf("%w: %d: %s", errRefused, answer.Status, answer.Reason)
	}
	if err := t.passed(s, i, w); err != nil || w.opening != nil {
		return nil, err // it is ending
	}
	return o.head[answer.Size:], nil
}

// unframe turns clear text of a WebSocket into messages in the inbox, and
// answers what is not a message. It changes data.
func (in *intake) unframe(s *slot, i uint32, w *wire, data []byte) (messages int, err error) {
	s.mu.Lock()
	w.web.heard, w.web.pinged = in.t.tick(), 0
	s.mu.Unlock()
	decoder, b := in.t.bound[s.listener].web.decoder, in.t.table.buffers(i)
	if b.in != nil { // held before
		s.flags.And(^flagHeld)
		data = append(b.in.data, data...)
		b.in = nil
	}
	left := in.t.quota(s, i)
	for len(data) > 0 && err == nil && left.messages > 0 && left.bytes > 0 {
		event, size, fault := decoder.Decode(&w.web.state, data)
		data, err = data[size:], fault
		switch event.Kind {
		case websocket.Text, websocket.Binary:
			in.addKind(s, i, event)
			messages++
			left.messages--
			left.bytes -= len(event.Payload)
		case websocket.Ping:
			in.t.pong(s, i, w, event.Payload)
		case websocket.Close:
			err = &closedError{event.Code}
		case websocket.None, websocket.Pong: // a sign of life, as every byte is
		}
	}
	in.flush(s, i)
	in.kind = KindDefault
	if len(data) > 0 && err == nil {
		in.hold(s, i, data)
	}
	return messages, in.t.farewellFor(s, w, err)
}

// addKind collects one message of a WebSocket; a batch is of one kind.
func (in *intake) addKind(s *slot, i uint32, event websocket.Event) {
	kind := KindBinary
	if event.Kind == websocket.Text {
		kind = KindText
	}
	if in.kind != kind {
		in.flush(s, i)
		in.kind = kind
	}
	in.add(s, i, event.Payload)
}

// closedError: the client has sent a close frame.
type closedError struct{ code websocket.CloseCode }

func (e *closedError) Error() string {
	return "closed by the client with code " + strconv.Itoa(int(e.code))
}

// farewellFor notes which close frame an error of the client asks for, unless
// another one was asked for before.
func (t *Transport) farewellFor(s *slot, w *wire, err error) error {
	if err == nil {
		return nil
	}
	var end ending
	closed, violation := (*closedError)(nil), (*websocket.ProtocolError)(nil)
	switch {
	case errors.As(err, &closed):
		end.code = closed.code // the answer to a close is the same code
	case errors.As(err, &violation):
		end = ending{violation.Code, violation.Reason}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.web.end == nil {
		w.web.end = &end
	}
	return err
}

// pong answers a ping.
func (t *Transport) pong(s *slot, i uint32, w *wire, payload []byte) {
	frame, err := websocket.AppendPong(nil, payload)
	if err != nil {
		return // a ping is no longer than a pong may be
	}
	s.mu.Lock()
	if s.has(flagClosing | flagEnded) { // nothing follows the close frame
		s.mu.Unlock()
		return
	}
	if w.web.pongs.Load() == maxPongs {
		s.mu.Unlock()
		t.totals.pongsDropped.Add(1)
		return
	}
	w.web.pongs.Add(1)
	t.table.buffers(i).pushLocked(&chunk{data: frame, sealed: true, unsent: &w.web.pongs})
	s.mu.Unlock()
	t.attendSoon(s, i)
}

// deadline adds what a connection waits for that was silent. While it waits for
// the answer to a ping it looks as often as it would ping, since the answer makes
// the next deadline an earlier one.
func (w *webSocket) deadline(d *deadline, settings *WebSocket, now uint32) {
	switch {
	case settings.Ping < 0:
	case w.pinged != 0:
		d.sooner(min(w.pinged+ticks(settings.PongTimeout), now+ticks(settings.Ping))+1, aimPong)
	default:
		d.sooner(w.heard+ticks(settings.Ping)+1, aimPing)
	}
}

// excuse lets time begin anew for a client that was not read. The caller holds
// the slot's mu.
func (w *webSocket) excuse(now uint32) {
	w.heard = now
	if w.pinged != 0 {
		w.pinged = now
	}
}

// pingLocked asks a silent client for a sign of life. A client for which output
// waits would get the ping too late: it is asked another time. The caller holds
// the slot's mu.
func (t *Transport) pingLocked(s *slot, i, now uint32) {
	w := t.table.wire(i)
	w.web.heard = now
	if t.table.buffers(i).out != nil {
		return
	}
	w.web.pinged = now
	t.sayLocked(s, i, pingFrame)
	t.totals.pings.Add(1)
}

// pingFrame is shared by all connections: output is read alone.
var pingFrame = websocket.AppendHeader(nil, websocket.Ping, 0)

// sayLocked puts something of the protocol's own behind the output. The caller
// holds the slot's mu, and calls attendSoon once it has unlocked it.
func (t *Transport) sayLocked(s *slot, i uint32, data []byte) {
	if s.has(flagEnded) {
		return
	}
	t.table.buffers(i).pushLocked(&chunk{data: data, sealed: true})
}

// attendSoon puts the connection on its driver's list. It is called by the
// reader of the connection.
func (t *Transport) attendSoon(s *slot, i uint32) {
	s.mu.Lock()
	attend := t.dirtyLocked(s)
	driver := s.driver
	s.mu.Unlock()
	if attend {
		t.drivers[driver].attend(i)
	}
}

// byeLocked puts the close frame of a WebSocket behind the output if the
// connection ends, once. The caller holds the slot's mu.
func (t *Transport) byeLocked(s *slot, i uint32) {
	if f := s.flags.Load(); f&flagClosing == 0 || f&(flagAbort|flagEnded) != 0 {
		return
	}
	w := t.table.wire(i)
	if w == nil || w.web == nil || w.web.bye || w.opening != nil {
		return
	}
	w.web.bye = true
	end := w.web.end
	if end == nil {
		end = &ending{code: closeCodes[s.reason]}
	}
	frame, err := websocket.AppendClose(nil, end.code, end.reason)
	if err != nil {
		frame, _ = websocket.AppendClose(nil, websocket.CloseInternal, "")
	}
	t.sayLocked(s, i, frame)
}

// closeCodes are the codes of ends for which nobody has said another one. An
// end that is abrupt has none.
var closeCodes = [reasonCount]websocket.CloseCode{
	ReasonSent:     websocket.CloseNormal,
	ReasonRemote:   websocket.CloseNormal,
	ReasonClient:   websocket.CloseNormal,
	ReasonTooLarge: websocket.CloseTooBig,
	ReasonProtocol: websocket.CloseProtocol,
	ReasonShutdown: websocket.CloseGoingAway,
	ReasonTimeout:  websocket.ClosePolicy,
	ReasonRefused:  websocket.ClosePolicy,
	ReasonLifetime: websocket.CloseGoingAway, // the client may come back at once
	ReasonDrained:  websocket.CloseGoingAway, // to another node; with a reason of its own, see Drain
}
