package attach

import (
	"bufio"
	"io"
)

// The protocol, for tests that compare it with its page.
var (
	FrameLayouts  = frameLayouts[:]
	ActionLayouts = actionLayouts[:]
	AskNames      = askNames[:]
	EndNames      = endNames[:]
	ScopeNames    = scopeNames
)

// Fields are the name, the letters and the names of fields of a layout.
func (l layout) Fields() (name, letters string, names []string) { return l.name, l.fields, l.names }

// OutcomeNames are those of all outcomes, by their numbers.
func OutcomeNames() (names []string) {
	for _, o := range outcomes {
		names = append(names, o.name)
	}
	return names
}

// Limits are those of the page, by their names there.
var Limits = map[string]int{
	"frame of a worker": maxFrame, "frame of a worker before its hello was accepted": maxHello,
	"actions in a frame": maxActions, "ids in a frame": maxIDs, "events of a window": maxWindow,
	"bytes of a window": maxWindowBytes, "requests without answer": maxRequests, "asks at the same time": maxAsks,
	"watches of a session": maxWatches, "sessions": maxSessions, "streams before their hello": maxOpening,
	"name of a worker": maxName,
}

// A Record is a decoded frame.
type Record = record

// Forms are all forms of a frame.
var Forms = map[string]format{"msgpack": msgpackForm{}, "json": jsonForm{}}

// Decode reads a body in that form; Encode is the body of a record.
func Decode(form string, body []byte, r *Record) error { return Forms[form].decode(body, r) }

func Encode(form string, r *Record) []byte { return Forms[form].appendFrame(nil, r) }

// OutcomeOf returns the number of the outcome that err stands for.
func OutcomeOf(err error) uint8 { return uint8(outcomeOf(err)) }

// ReadFrames reads bodies from a stream of msgpack until an error, and returns the
// longest memory that it held.
func ReadFrames(r io.Reader, limit int) (bodies [][]byte, held int, err error) {
	f := &frames{in: bufio.NewReaderSize(r, 4096)}
	for {
		body, err := f.read(limit)
		if held = max(held, f.long.Cap()); err != nil {
			return bodies, held, err
		}
		bodies = append(bodies, append([]byte(nil), body...))
	}
}

// ReadLines is ReadFrames of lines.
func ReadLines(r io.Reader, limit int) (bodies [][]byte, held int, err error) {
	l := &lines{in: bufio.NewReaderSize(r, 4096)}
	for {
		body, err := l.read(limit)
		if held = max(held, cap(l.long)); err != nil {
			return bodies, held, err
		}
		bodies = append(bodies, append([]byte(nil), body...))
	}
}
