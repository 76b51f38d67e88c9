package websocket

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"flamingo/framing"
)

// MaxReason is the longest reason of a close, in bytes: a control frame less
// the code.
const MaxReason = MaxControlPayload - 2

// AppendMessage appends a message in one frame to dst and returns the extended
// slice. The kind is Text or Binary. On an error, which matches
// framing.ErrUnframeable, it returns dst as it was: text must be UTF-8, or
// the client has to fail the connection. There is no limit to the length.
func AppendMessage(dst []byte, kind Kind, payload []byte) ([]byte, error) {
	if !kind.isMessage() {
		return dst, fmt.Errorf("%w: a %v is not a message", framing.ErrUnframeable, kind)
	}
	if kind == Text && !utf8.Valid(payload) {
		return dst, fmt.Errorf("%w: text is not UTF-8", framing.ErrUnframeable)
	}
	return appendFrame(dst, kind, payload), nil
}

// AppendPing appends a ping to dst and returns the extended slice. On an
// error, which matches framing.ErrTooLarge and says that the payload is over
// MaxControlPayload, it returns dst as it was.
func AppendPing(dst, payload []byte) ([]byte, error) { return appendControl(dst, Ping, payload) }

// AppendPong is AppendPing for a pong: the answer to a ping, with the same
// payload, or a sign of life.
func AppendPong(dst, payload []byte) ([]byte, error) { return appendControl(dst, Pong, payload) }

func appendControl(dst []byte, kind Kind, payload []byte) ([]byte, error) {
	if len(payload) > MaxControlPayload {
		return dst, fmt.Errorf("%w: %v of %d bytes, limit %d", framing.ErrTooLarge, kind, len(payload), MaxControlPayload)
	}
	return appendFrame(dst, kind, payload), nil
}

// AppendClose appends a close frame to dst and returns the extended slice.
// With CloseNoStatus the frame is empty, and so has no reason. A reason is cut
// to MaxReason bytes between two characters; what is not UTF-8 in it becomes
// U+FFFD. On an error, which matches framing.ErrUnframeable and says that the
// code is not one that OnWire allows, it returns dst as it was.
//
// Nothing may be sent after a close frame.
func AppendClose(dst []byte, code CloseCode, reason string) ([]byte, error) {
	if code == CloseNoStatus {
		return AppendHeader(dst, Close, 0), nil
	}
	if !code.OnWire() {
		return dst, fmt.Errorf("%w: close code %v must not be sent", framing.ErrUnframeable, code)
	}
	reason = CutReason(reason)
	dst = AppendHeader(dst, Close, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...), nil
}

// CutReason returns the reason as AppendClose writes it.
func CutReason(reason string) string {
	reason = strings.ToValidUTF8(reason, string(utf8.RuneError))
	if len(reason) <= MaxReason {
		return reason
	}
	end := MaxReason
	for !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}

func appendFrame(dst []byte, kind Kind, payload []byte) []byte {
	dst = slices.Grow(dst, MaxHeaderLen+len(payload))
	return append(AppendHeader(dst, kind, len(payload)), payload...)
}

// AppendHeader appends the header of a frame whose payload of length bytes is
// written apart from it, as one that many connections share is. It checks
// nothing: of text the caller knows that it is UTF-8, and of a control frame
// that it is within MaxControlPayload.
func AppendHeader(dst []byte, kind Kind, length int) []byte {
	dst = append(dst, finBit|byte(kind))
	switch {
	case length < length16:
		return append(dst, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, length16), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, length64), uint64(length))
	}
}
