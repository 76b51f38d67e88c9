package websocket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"flamingo/framing"
	"flamingo/transport/websocket"
)

// framed is a server's frame as it has to be.
func framed(first byte, length []byte, payload string) string {
	return string(join([]byte{first}, length, []byte(payload)))
}

func TestFramesAreShortAndUnmasked(t *testing.T) {
	tests := []struct {
		name    string
		kind    websocket.Kind
		payload string
		want    string
	}{
		{"the text of the RFC", websocket.Text, "Hello", "\x81\x05Hello"},
		{"nothing", websocket.Binary, "", "\x82\x00"},
		{"125 bytes", websocket.Binary, xs(125), framed(0x82, []byte{125}, xs(125))},
		{"126 bytes", websocket.Binary, xs(126), framed(0x82, []byte{126, 0, 126}, xs(126))},
		{"65535 bytes", websocket.Text, xs(65535), framed(0x81, []byte{126, 255, 255}, xs(65535))},
		{"65536 bytes", websocket.Text, xs(65536), framed(0x81, []byte{127, 0, 0, 0, 0, 0, 1, 0, 0}, xs(65536))},
		{"bytes that are not text", websocket.Binary, "\xff", "\x82\x01\xff"},
	}
	for _, test := range tests {
		got, err := websocket.AppendMessage([]byte("> "), test.kind, []byte(test.payload))
		if err != nil || string(got) != "> "+test.want {
			t.Errorf("%s: got %.40q, %v, want %.40q", test.name, got, err, "> "+test.want)
		}
		head := websocket.AppendHeader([]byte("> "), test.kind, len(test.payload))
		if string(head)+test.payload != "> "+test.want || len(head) > 2+websocket.MaxHeaderLen {
			t.Errorf("%s: header %q, want that of %.40q", test.name, head, test.want)
		}
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	dst := []byte("> ")
	tests := []struct {
		name string
		make func() ([]byte, error)
		want error
	}{
		{"text that is not UTF-8", func() ([]byte, error) { return websocket.AppendMessage(dst, websocket.Text, []byte("a\xff")) }, framing.ErrUnframeable},
		{"text that ends in half a character", func() ([]byte, error) { return websocket.AppendMessage(dst, websocket.Text, []byte("\xc3")) }, framing.ErrUnframeable},
		{"a ping as a message", func() ([]byte, error) { return websocket.AppendMessage(dst, websocket.Ping, nil) }, framing.ErrUnframeable},
		{"a continuation as a message", func() ([]byte, error) { return websocket.AppendMessage(dst, websocket.None, nil) }, framing.ErrUnframeable},
		{"a long ping", func() ([]byte, error) { return websocket.AppendPing(dst, []byte(xs(126))) }, framing.ErrTooLarge},
		{"a long pong", func() ([]byte, error) { return websocket.AppendPong(dst, []byte(xs(126))) }, framing.ErrTooLarge},
		{"a close without a close frame", func() ([]byte, error) { return websocket.AppendClose(dst, websocket.CloseAbnormal, "") }, framing.ErrUnframeable},
		{"a close of no code", func() ([]byte, error) { return websocket.AppendClose(dst, 0, "") }, framing.ErrUnframeable},
	}
	for _, test := range tests {
		if got, err := test.make(); !errors.Is(err, test.want) || string(got) != "> " {
			t.Errorf("%s: got %q, %v, want %v and what was there", test.name, got, err, test.want)
		}
	}
}

func TestControlFrames(t *testing.T) {
	long := strings.Repeat("é", 62) // 124 bytes
	tests := []struct {
		name string
		make func() ([]byte, error)
		want string
	}{
		{"ping", func() ([]byte, error) { return websocket.AppendPing(nil, nil) }, "\x89\x00"},
		{"ping with data", func() ([]byte, error) { return websocket.AppendPing(nil, []byte(xs(125))) }, "\x89\x7d" + xs(125)},
		{"pong", func() ([]byte, error) { return websocket.AppendPong(nil, []byte("Hello")) }, "\x8a\x05Hello"},
		{"close", func() ([]byte, error) { return websocket.AppendClose(nil, websocket.CloseNormal, "") }, "\x88\x02\x03\xe8"},
		{"close with a reason", func() ([]byte, error) { return websocket.AppendClose(nil, 4999, "bye") }, "\x88\x05\x13\x87bye"},
		{"close without a code", func() ([]byte, error) { return websocket.AppendClose(nil, websocket.CloseNoStatus, "bye") }, "\x88\x00"},
		{"close with the longest reason", func() ([]byte, error) { return websocket.AppendClose(nil, 1000, xs(123)) }, "\x88\x7d\x03\xe8" + xs(123)},
		{"close with a long reason", func() ([]byte, error) { return websocket.AppendClose(nil, 1000, xs(500)) }, "\x88\x7d\x03\xe8" + xs(123)},
		{"close cut between characters", func() ([]byte, error) { return websocket.AppendClose(nil, 1000, long) }, "\x88\x7c\x03\xe8" + long[:122]},
		{"close with a reason that is not UTF-8", func() ([]byte, error) { return websocket.AppendClose(nil, 1000, "a\xffb") }, "\x88\x07\x03\xe8a\ufffdb"},
	}
	for _, test := range tests {
		if got, err := test.make(); err != nil || string(got) != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

// Whatever is written comes back from a decoder, once it has a mask.
func TestFramesComeBack(t *testing.T) {
	d := decoder(websocket.DecoderConfig{})
	for _, n := range []int{0, 1, 125, 126, 127, 4095, 65535, 65536, 100_000} {
		for _, kind := range []websocket.Kind{websocket.Text, websocket.Binary} {
			frame := must(websocket.AppendMessage(nil, kind, []byte(xs(n))))
			var s websocket.State
			event, size, err := d.Decode(&s, withMask(frame, n))
			if err != nil || event.Kind != kind || string(event.Payload) != xs(n) || size != len(frame)+4 {
				t.Errorf("%v of %d bytes: got %v of %d bytes, size %d, %v", kind, n, event.Kind, len(event.Payload), size, err)
			}
		}
	}
}

// withMask makes a client's frame of a server's with a payload of n bytes.
func withMask(frame []byte, n int) []byte {
	head, payload := bytes.Clone(frame[:len(frame)-n]), frame[len(frame)-n:]
	head[1] |= 0x80
	return join(head, maskKey[:], underMask(string(payload)))
}

func TestAppendAllocatesNothingWhereThereIsRoom(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	dst, payload := make([]byte, 0, 1024), []byte(xs(100))
	if got := testing.AllocsPerRun(100, func() {
		out, _ := websocket.AppendMessage(dst, websocket.Text, payload)
		out, _ = websocket.AppendPong(out, payload)
		out, _ = websocket.AppendClose(out, websocket.CloseNormal, "bye")
		websocket.AppendHeader(out, websocket.Binary, 1<<20)
	}); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

// Every code either comes back or is refused, at both ends alike.
func TestCloseCodesAreTheSameInBothDirections(t *testing.T) {
	d := decoder(websocket.DecoderConfig{})
	applications := 0
	for code := range 1 << 16 {
		c := websocket.CloseCode(code)
		var s websocket.State
		event, _, err := d.Decode(&s, closing(code, ""))
		if (err == nil) != c.OnWire() || err == nil && event.Code != c {
			t.Errorf("%v: decoded %v, %v, want OnWire, which is %v", c, event.Code, err, c.OnWire())
		}
		if c == websocket.CloseNoStatus {
			continue
		}
		frame, err := websocket.AppendClose(nil, c, "")
		if (err == nil) != c.OnWire() || err == nil && binary.BigEndian.Uint16(frame[2:]) != uint16(code) {
			t.Errorf("%v: framed % x, %v, want OnWire, which is %v", c, frame, err, c.OnWire())
		}
		if c.ForApplication() {
			applications++
			if !c.OnWire() {
				t.Errorf("%v is for applications and not for the wire", c)
			}
		}
	}
	if want := 2000 + 10; applications != want { // 1000, 1001, 1003, 1007-1009, 1011-1014
		t.Errorf("%d codes for applications, want %d", applications, want)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		websocket.None.String():                    "none",
		websocket.Text.String():                    "text",
		websocket.Kind(3).String():                 "Kind(3)",
		websocket.CloseNormal.String():             "1000 (normal closure)",
		websocket.CloseTLS.String():                "1015 (TLS handshake)",
		websocket.CloseCode(4000).String():         "4000",
		websocket.CloseCode(1004).String():         "1004",
		websocket.CloseServiceRestart.String():     "1012 (service restart)",
		websocket.CloseMandatoryExtension.String(): "1010 (mandatory extension)",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
