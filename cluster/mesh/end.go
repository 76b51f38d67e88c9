package mesh

import (
	"errors"
	"math"
)

// An End says when and why a connection ended, as its owner remembers it. The
// mesh carries it beside OutcomeGone and knows no more of it. The zero End says
// nothing.
type End struct {
	At     int64  // Unix milliseconds by the owner's clock, at least 0
	Reason uint8  // the owner's
	Code   uint16 // of a WebSocket's close frame, 0 for none
}

// EndOf returns what an error that matches ErrGone says of the end.
func EndOf(err error) End {
	if g, ok := errors.AsType[*goneError](err); ok {
		return g.end
	}
	return End{}
}

// goneError is ErrGone with an end.
type goneError struct{ end End }

func (*goneError) Error() string { return ErrGone.Error() }

func (*goneError) Unwrap() error { return ErrGone }

// A verdict is an outcome and, if that is OutcomeGone, an end.
type verdict struct {
	Outcome
	end End
}

// only is the verdict that is an outcome alone.
func only(o Outcome) verdict { return verdict{Outcome: o} }

// Err returns the error that a is: see Outcome.Err.
func (a verdict) Err() error {
	if a.end != (End{}) && a.Outcome == OutcomeGone {
		return &goneError{a.end}
	}
	return a.Outcome.Err()
}

// endFrom reads the fields of a frame.
func endFrom(at, reason, code uint64) (End, error) {
	if at > math.MaxInt64 || reason > math.MaxUint8 || code > math.MaxUint16 {
		return End{}, reasonError{ReasonMalformed}
	}
	return End{int64(at), uint8(reason), uint16(code)}, nil
}

// fields are what endFrom reads.
func (e End) fields() [3]uint64 {
	return [3]uint64{uint64(max(e.At, 0)), uint64(e.Reason), uint64(e.Code)}
}

// describe returns a as the reply to a describe request.
func (a verdict) describe() []byte {
	e := newEncoder()
	e.buf = append(e.buf, byte(a.Outcome))
	if a.Outcome == OutcomeGone {
		for _, v := range a.end.fields() {
			e.uint(v)
		}
	}
	return e.buf
}

// describedAs reads what describe has written behind the outcome. What cannot be
// read says nothing of the end.
func describedAs(o Outcome, rest []byte) verdict {
	d := newDecoder()
	d.b = rest
	var v [3]uint64
	for i := range v {
		u, err := d.uint()
		if err != nil {
			return only(o)
		}
		v[i] = u
	}
	end, err := endFrom(v[0], v[1], v[2])
	if err != nil {
		return only(o)
	}
	return verdict{o, end}
}
