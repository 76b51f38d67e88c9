package transport

import "flamingo/idspace"

// This file holds how a program takes events that it is done with much later,
// in another order than that in which it took them.

// EventType says what an Event tells.
type EventType uint8

// The types of events.
const (
	EventOpen EventType = iota + 1
	EventMessage
	EventClose
)

// An Event is held: until DoneEvents a message counts as queued, and an open or a
// close keeps the slot of its connection. Once the close of a connection is
// there, all its messages are done with.
type Event struct {
	ID   idspace.ID
	Data []byte // of a message: the receiver's
	Conn *Conn  // of an open
	Type EventType
	Kind Kind   // of a message
	Why  Reason // of a close

	slot uint32
}

// Event is o, held as before.
func (o Opened) Event() Event {
	return Event{Type: EventOpen, ID: o.Conn.ID(), Conn: o.Conn, slot: o.slot}
}

// Event is m, held as before.
func (m *Message) Event() Event {
	return Event{Type: EventMessage, ID: m.ID, Data: m.Data, Kind: m.Kind, slot: m.slot}
}

// Event is c, held as before.
func (c Closed) Event() Event {
	return Event{Type: EventClose, ID: c.ID, Why: c.Why, slot: c.slot}
}

// DoneEvents says that the handling of these events is over, once for each of
// them. For messages it does what Done does.
func (t *Transport) DoneEvents(events []Event) {
	for i := range events {
		switch e := &events[i]; e.Type {
		case EventOpen:
			t.DoneOpen(Opened{e.Conn, e.slot})
		case EventMessage:
			one := [1]Message{{ID: e.ID, Data: e.Data, slot: e.slot}}
			t.Done(one[:])
		case EventClose:
			t.DoneClose(Closed{e.ID, e.Why, e.slot})
		}
	}
}

// ReportEnds has every end be reported from here on, those by SendClose with
// ReasonSent too, unless Config.Ignore has none reported.
func (t *Transport) ReportEnds() { t.reportsEnds.Store(true) }
