package transport

import (
	"errors"
	"fmt"

	"flamingo/idspace"
)

// A wire is what stands between the socket of a connection and the framing of
// its listener: from the socket inwards the header of a proxy, TLS, WebSocket.
// A connection of a listener that has none of these, and no limits which need to
// know something of each connection, has no wire.
//
// Until every layer is ready the connection is opening: it has an id, of which
// nobody knows, it cannot be sent to, and its end is not reported.
//
// Input moves through the wire on the goroutine that reads the connection.
type wire struct {
	opening *opening // guarded by the slot's mu; nil once the connection is open
	proxied *proxied // what a proxy said of the client, or nil; set while opening, under the slot's mu
	headed  bool     // the header of a proxy was read, even if it said nothing; set as proxied is
	session *session // TLS, or nil; set while opening, under the slot's mu
	web     *webSocket
	meter   *meter // what the limits of its listener need, or nil; immutable
}

// An opening is what a connection goes through before it is open.
type opening struct {
	stage stage
	due   uint32     // tick by which the stage is over
	head  []byte     // owned by the reader: what came of a header whose rest did not
	shake *handshake // that of TLS, from its stage on
}

// until is the tick by which the stage is over. The time in which a handshake of
// TLS waits for its turn is not the client's.
func (o *opening) until(now uint32) uint32 {
	if o.stage == stageTLS {
		return o.due + o.shake.extra(now)
	}
	return o.due
}

// A stage is the layer that a connection which opens is busy with.
type stage uint8

const (
	stageAccepted stage = iota // none yet
	stageProxy
	stageTLS
	stageWebSocket
	stageOpen // all are ready
)

// openingRead is how much a driver reads at a time from a connection that is
// opening. What follows the last header goes into the inbox without regard to
// its bound.
const openingRead = 2 << 10

// errInputEnded: the client has ended its input, by a layer's own means.
var errInputEnded = errors.New("input ended")

// errRefused: the client is none that the listener takes.
var errRefused = errors.New("client refused")

// wired reports whether connections of the listener have a wire.
func (l *Listener) wired() bool {
	return l.Proxy != ProxyOff || l.TLS != nil || l.WebSocket != nil || l.metered()
}

// plugLocked gives a fresh connection its wire, if its listener has layers; a
// connection that none of these keeps waiting is open. The caller holds the slot's
// mu, has set the socket, and calls announce for one that is open.
func (t *Transport) plugLocked(s *slot, i uint32) {
	if !t.bound[s.listener].wired() {
		t.openLocked(s)
		return
	}
	w := &wire{opening: &opening{}}
	if t.bound[s.listener].WebSocket != nil {
		w.web = &webSocket{}
	}
	if t.bound[s.listener].metered() {
		w.meter = new(meter)
	}
	t.table.setWireLocked(i, w)
	s.flags.Or(flagOpening)
	t.advanceLocked(s, i, w)
}

// advanceLocked moves a connection that is opening on to the next layer of its
// listener, unless the client is refused. It reports whether that was the last
// one: the caller, who holds the slot's mu, unlocks it and calls announce.
func (t *Transport) advanceLocked(s *slot, i uint32, w *wire) (ready bool) {
	l, o := t.bound[s.listener], w.opening
	for o.stage++; o.stage < stageOpen; o.stage++ {
		limit, needed := l.HandshakeTimeout, false
		switch o.stage {
		case stageProxy:
			limit, needed = l.ProxyTimeout, t.awaitsProxyLocked(s, i)
		case stageTLS:
			if !t.enterLocked(s, i, w) {
				return false
			}
			if needed = l.TLS != nil; needed {
				o.shake = newHandshake(t, s, i)
				w.session = o.shake.session
			}
		case stageWebSocket:
			needed = l.WebSocket != nil
		case stageAccepted, stageOpen:
		}
		if needed {
			o.due = t.tick() + ticks(limit) + 1
			return false
		}
	}
	w.opening = nil
	s.flags.And(^flagOpening)
	if w.meter != nil {
		w.meter.begin(t, &l.Limits)
	}
	t.openLocked(s)
	return true
}

// EndOpening ends the connections that are opening, in a handshake, for why, and
// returns how many: they have an id already, of which nobody knows.
func (t *Transport) EndOpening(why Reason) (ended int) {
	for i := range t.table.slots() {
		s := t.table.at(i)
		if !s.has(flagOpening) {
			continue
		}
		s.mu.Lock()
		condemned := s.id.Load() != 0 && s.has(flagOpening) && t.condemnLocked(s, why)
		t.sent(s, i, condemned && t.dirtyLocked(s))
		if condemned {
			ended++
		}
	}
	return ended
}

// passed is advanceLocked and announce, for a reader whose layer is ready. On an
// error, which says that the client is refused, nothing more is to be received.
func (t *Transport) passed(s *slot, i uint32, w *wire) error {
	s.mu.Lock()
	ended := s.has(flagClosing | flagEnded)
	ready := !ended && t.advanceLocked(s, i, w)
	refused := !ended && s.has(flagClosing)
	s.mu.Unlock()
	if ready {
		t.announce(s, i)
	}
	if refused {
		return fmt.Errorf("%w: too many connections of its address", errRefused)
	}
	return nil
}

// receive takes data that connection i has received, through its wire; the
// caller keeps data. With data nil it takes what waits in the wire. It returns
// how many messages went into the inbox. An error says why nothing more is to
// be received, after these.
func (in *intake) receive(s *slot, i uint32, data []byte) (messages int, err error) {
	w := in.t.table.wire(i)
	in.moved = 0
	if data == nil && s.has(flagHeld) {
		if messages, err = in.resume(s, i, w); err != nil || s.has(flagThrottled) {
			return messages, err
		}
		// What waits in a layer follows.
		defer func(before int) { messages += before }(messages)
	}
	if w == nil || w.session == nil { // else what is in the records counts
		in.moved = len(data)
		s.bytesIn.Add(uint64(in.moved))
	}
	if w == nil {
		return in.feed(s, i, data)
	}
	if o := w.opening; o != nil && o.stage == stageProxy {
		o.head = append(o.head, data...)
		size, err := in.t.readProxyHeader(s, i, w)
		if err != nil || o.stage == stageProxy {
			return 0, err
		}
		data, o.head = o.head[size:], nil
	}
	if w.session == nil {
		return in.deliver(s, i, w, data)
	}
	if o := w.opening; o != nil && o.stage == stageTLS {
		over, err := o.shake.feed(data)
		if err != nil {
			return 0, o.shake.failed(err)
		}
		if !over {
			return 0, nil
		}
		data = nil // it is in the session
		if err := in.t.passed(s, i, w); err != nil || w.opening != nil && w.opening.stage == stageTLS {
			return 0, err // it is ending
		}
	}
	return in.decrypt(s, i, w, data)
}

// resume takes what the rates of the connection's listener had it hold.
func (in *intake) resume(s *slot, i uint32, w *wire) (messages int, err error) {
	if w.web != nil {
		return in.unframe(s, i, w, nil)
	}
	return in.feed(s, i, nil)
}

// deliver takes what is in clear text.
func (in *intake) deliver(s *slot, i uint32, w *wire, data []byte) (messages int, err error) {
	if len(data) == 0 {
		return 0, nil
	}
	if w.web == nil {
		return in.feed(s, i, data)
	}
	if w.opening != nil {
		if data, err = in.upgrade(s, i, w, data); err != nil {
			return 0, err
		}
	}
	return in.unframe(s, i, w, data)
}

// undecidedLocked reports whether what the connection has received may still
// open it, although nothing more is received. The caller holds the slot's mu.
func (t *Transport) undecidedLocked(i uint32) bool {
	w := t.table.wire(i)
	return w != nil && w.opening != nil && w.opening.stage == stageTLS && w.opening.shake.undecided()
}

// shakeLocked returns the handshake of TLS of a connection that is opening, or
// nil. The caller holds the slot's mu.
func (t *Transport) shakeLocked(i uint32) *handshake {
	if w := t.table.wire(i); w != nil && w.opening != nil {
		return w.opening.shake
	}
	return nil
}

// inputEnds tells the wire of a connection that the client has ended its input.
// It is called by the reader, before flagEOF is set, and returns the handshake
// that may still open the connection, or nil.
func (t *Transport) inputEnds(i uint32) *handshake {
	w := t.table.wire(i)
	if w == nil || w.opening == nil || w.opening.stage != stageTLS || !w.opening.shake.inputEnds() {
		return nil
	}
	return w.opening.shake
}

// stuffed returns nil if the connection is to be read from, or else what the
// reader receives from, or sees closed, when that may have changed. Then the
// wire owes reading too.
func (t *Transport) stuffed(i uint32) (room <-chan struct{}) {
	w := t.table.wire(i)
	switch {
	case w == nil || w.session == nil:
		return nil
	case w.opening == nil || w.opening.stage != stageTLS:
		return w.session.stuffed()
	case w.opening.shake.full():
		return w.opening.shake.room
	}
	return nil
}

// owe puts the connection on its driver's list: its wire has something to write,
// or has input that came before.
func (t *Transport) owe(s *slot, i uint32, id idspace.ID) { t.oweWith(s, i, id, 0) }

// oweReading is owe for a wire that has input.
func (t *Transport) oweReading(s *slot, i uint32, id idspace.ID) { t.oweWith(s, i, id, flagUnread) }

func (t *Transport) oweWith(s *slot, i uint32, id idspace.ID, f slotFlag) {
	s.mu.Lock()
	attend := false
	if s.id.Load() == uint64(id) && !s.has(flagEnded) {
		s.flags.Or(f)
		attend = t.dirtyLocked(s)
	}
	driver := s.driver
	s.mu.Unlock()
	if attend {
		t.drivers[driver].attend(i)
	}
}
