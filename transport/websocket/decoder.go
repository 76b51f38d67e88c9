package websocket

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"flamingo/framing"
)

// DecoderConfig holds the settings of a Decoder. The zero value is usable.
type DecoderConfig struct {
	// MaxMessage is the limit of a message in bytes, over all its fragments: 1
	// to framing.MaxMessageLimit. Zero means framing.DefaultMaxMessage.
	MaxMessage int

	// Only is the kind of message to take, Text or Binary; one of the other
	// kind is refused with CloseUnsupported. None means both.
	Only Kind
}

// A Decoder takes the events out of the bytes that follow a handshake.
type Decoder struct {
	max  int
	only Kind
}

// NewDecoder returns a Decoder. The error matches ErrBadOption and reports
// every bad setting.
func NewDecoder(cfg DecoderConfig) (*Decoder, error) {
	var errs []error
	if cfg.MaxMessage < 0 || cfg.MaxMessage > framing.MaxMessageLimit {
		errs = append(errs, badOption("max message %d: allowed are 1 to %d bytes", cfg.MaxMessage, framing.MaxMessageLimit))
	}
	if cfg.Only != None && !cfg.Only.isMessage() {
		errs = append(errs, badOption("only %v: allowed are text, binary, none", cfg.Only))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = framing.DefaultMaxMessage
	}
	return &Decoder{max: cfg.MaxMessage, only: cfg.Only}, nil
}

// An Event is what a client has sent: a message, or a control frame.
type Event struct {
	// Kind is None if there is no event.
	Kind Kind

	// Owned says that Payload is memory of its own, which is its receiver's.
	// Otherwise it is a part of the bytes given to Decode.
	Owned bool

	// Code of a Close: one that OnWire allows, or CloseNoStatus.
	Code CloseCode

	// Payload is the message, the data of a ping or pong, or the reason of a
	// close. Text and reasons are valid UTF-8. Its capacity is its length
	// unless it is Owned.
	Payload []byte
}

// Decode takes bytes that follow those of the call before, up to the end of
// the first event. size is how many it took, at least one of data that is not
// empty; if there is no event, or an error, all of them. It changes the bytes that it took,
// and keeps no reference to them.
//
// An error is a *ProtocolError. It and a close are the last of their stream:
// calls that follow take everything and return nothing.
func (d *Decoder) Decode(s *State, data []byte) (event Event, size int, err error) {
	if s.partial == &ended {
		return Event{}, len(data), nil
	}
	for size < len(data) && event.Kind == None && err == nil {
		var n int
		if s.partial != nil && s.partial.inFrame {
			event, n, err = d.takePayload(s.partial, data[size:])
		} else {
			event, n, err = d.takeFrame(s, data[size:])
		}
		size += n
	}
	switch {
	case err != nil:
		s.partial = &ended
		return Event{}, len(data), err
	case event.Kind == Close:
		s.partial = &ended
	default:
		s.settle()
	}
	return event, size, nil
}

// takeFrame takes a frame whose header is not complete yet, or as much of it
// as there is. A payload that is there as a whole, and no fragment, is not
// copied.
func (d *Decoder) takeFrame(s *State, data []byte) (Event, int, error) {
	h, size, err := d.takeHeader(s, data)
	if err != nil || size == 0 {
		return Event{}, len(data), err
	}
	rest := data[size:]
	if h.fin && h.kind != continuation && h.length <= len(rest) {
		payload := rest[:h.length:h.length]
		unmask(payload, h.key)
		if h.kind == Text && !utf8.Valid(payload) {
			err = notUTF8("text")
		}
		event, err := finish(Event{Kind: h.kind, Payload: payload}, err)
		return event, size + h.length, err
	}
	p := s.hold()
	p.frame, p.inFrame = h, true
	if h.kind.isMessage() {
		p.kind = h.kind
	}
	event, n, err := d.takePayload(p, rest)
	return event, size + n, err
}

// takeHeader takes a header; size is how many bytes of data end with it. If it
// is incomplete size is zero, and all of data belongs to it.
func (d *Decoder) takeHeader(s *State, data []byte) (h header, size int, err error) {
	kind, received := s.inProgress()
	if s.partial == nil || s.partial.headLen == 0 {
		if h, size, err = d.readHeader(data, kind, received); err == nil && size == 0 {
			p := s.hold()
			p.headLen = uint8(copy(p.head[:], data))
		}
		return h, size, err
	}
	p := s.partial
	before := int(p.headLen)
	all := before + copy(p.head[before:], data)
	if h, size, err = d.readHeader(p.head[:all], kind, received); err != nil {
		return h, 0, err
	}
	if size == 0 {
		p.headLen = uint8(all)
		return h, 0, nil
	}
	p.headLen = 0
	return h, size - before, nil
}

// takePayload takes bytes of the frame that is arriving, of which there may be
// none to come.
func (d *Decoder) takePayload(p *partial, data []byte) (event Event, size int, err error) {
	size = min(p.frame.length, len(data))
	if p.frame.kind.isControl() {
		event, err = p.takeControl(data[:size])
	} else {
		event, err = p.takeMessage(data[:size], d.max)
	}
	return event, size, err
}

func (p *partial) takeControl(data []byte) (Event, error) {
	if p.control == nil {
		p.control = make([]byte, 0, p.frame.length)
	}
	p.control = p.add(p.control, data)
	if p.inFrame {
		return Event{}, nil
	}
	payload := p.control
	p.control = nil
	return finish(Event{Kind: p.frame.kind, Owned: true, Payload: payload}, nil)
}

func (p *partial) takeMessage(data []byte, limit int) (Event, error) {
	p.message = p.add(p.room(len(data), limit), data)
	last := p.frame.fin && !p.inFrame
	if p.kind == Text && !p.checkText(last) {
		return Event{}, notUTF8("text")
	}
	if !last {
		return Event{}, nil
	}
	event := Event{Kind: p.kind, Owned: true, Payload: p.message}
	*p = partial{}
	return event, nil
}

// add appends bytes of the frame to payload, which has the room, without their
// mask.
func (p *partial) add(payload, data []byte) []byte {
	start := len(payload)
	payload = append(payload, data...)
	p.frame.key = unmask(payload[start:], p.frame.key)
	p.frame.length -= len(data)
	p.inFrame = p.frame.length > 0
	return payload
}

// checkText reports whether the message is UTF-8 as far as it is there. Unless
// that is all of it, it may end within a character.
func (p *partial) checkText(all bool) bool {
	fresh := p.message[p.checked:]
	if !all {
		fresh = fresh[:len(fresh)-unfinished(fresh)]
	}
	p.checked += len(fresh)
	return utf8.Valid(fresh)
}

// finish completes the event of a frame whose payload is there. The error is
// one of the payload.
func finish(event Event, err error) (Event, error) {
	if err == nil && event.Kind == Close {
		event, err = readClose(event)
	}
	if err != nil {
		return Event{}, err
	}
	return event, nil
}

// readClose splits the payload of a close frame into code and reason. That it
// is not one byte long is known from its header.
func readClose(event Event) (Event, error) {
	if len(event.Payload) == 0 {
		event.Code = CloseNoStatus
		return event, nil
	}
	event.Code = CloseCode(binary.BigEndian.Uint16(event.Payload))
	event.Payload = event.Payload[2:]
	switch {
	case !event.Code.OnWire():
		return event, violation("close frame with a code that must not be sent")
	case !utf8.Valid(event.Payload):
		return event, notUTF8("reason of a close")
	default:
		return event, nil
	}
}
