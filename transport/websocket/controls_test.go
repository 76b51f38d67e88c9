package websocket_test

import (
	"errors"
	"testing"

	"flamingo/transport/websocket"
)

// brokenDecoders have one fault each, of the kind that a decoder may have.
var brokenDecoders = []struct {
	name  string
	fault func(good decodeFunc) decodeFunc
}{
	{"loses pings", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, size, err := good(s, data)
			if event.Kind == websocket.Ping {
				event = websocket.Event{}
			}
			return event, size, err
		}
	}},
	{"takes a pong for a ping", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, size, err := good(s, data)
			if event.Kind == websocket.Pong {
				event.Kind = websocket.Ping
			}
			return event, size, err
		}
	}},
	{"closes with one code for everything", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, size, err := good(s, data)
			var broken *websocket.ProtocolError
			if errors.As(err, &broken) {
				err = &websocket.ProtocolError{Code: websocket.CloseProtocol, Reason: broken.Reason}
			}
			return event, size, err
		}
	}},
	{"goes on after a close", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, size, err := good(s, data)
			if event.Kind == websocket.Close {
				*s = websocket.State{}
			}
			return event, size, err
		}
	}},
	{"goes on after an error", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, size, err := good(s, data)
			if err != nil {
				*s, size = websocket.State{}, 1
			}
			return event, size, err
		}
	}},
	{"forgets what waits for its rest", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, size, err := good(s, data)
			if event.Kind == websocket.None && err == nil {
				*s = websocket.State{}
			}
			return event, size, err
		}
	}},
	{"reads one message at a time", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, _, err := good(s, data)
			return event, len(data), err
		}
	}},
	{"has no limit", func(decodeFunc) decodeFunc { return decoder(websocket.DecoderConfig{}).Decode }},
	{"has another limit", func(decodeFunc) decodeFunc {
		return decoder(websocket.DecoderConfig{MaxMessage: lowLimit + 1}).Decode
	}},
	{"takes the close codes that must not be sent", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, size, err := good(s, data)
			var broken *websocket.ProtocolError
			if errors.As(err, &broken) && "fail 1002 "+broken.Reason == failCode {
				return websocket.Event{Kind: websocket.Close, Code: websocket.CloseNoStatus}, size, nil
			}
			return event, size, err
		}
	}},
	{"does not look at text", func(good decodeFunc) decodeFunc {
		return func(s *websocket.State, data []byte) (websocket.Event, int, error) {
			event, size, err := good(s, data)
			var broken *websocket.ProtocolError
			if errors.As(err, &broken) && broken.Code == websocket.CloseInvalidPayload {
				return websocket.Event{}, size, nil
			}
			return event, size, err
		}
	}},
}

func TestCasesCatchBrokenDecoders(t *testing.T) {
	for _, broken := range brokenDecoders {
		t.Run(broken.name, func(t *testing.T) {
			for _, table := range tables() {
				decode := broken.fault(table.decode)
				for _, c := range table.cases {
					if len(violations(decode, c, 1)) > 0 {
						return
					}
				}
			}
			t.Error("no case failed")
		})
	}
}

// What a case wants is what no case of another outcome gets.
func TestCasesTellOutcomesApart(t *testing.T) {
	for _, table := range tables() {
		for i, c := range table.cases {
			other := table.cases[(i+1)%len(table.cases)]
			if other.want == c.want {
				continue
			}
			c.want = other.want
			if len(violations(table.decode, c, 1)) != len(splits(1)) {
				t.Errorf("%s: %q passes too", c.name, other.want)
			}
		}
	}
}
