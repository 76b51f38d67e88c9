package websocket

import (
	"encoding/binary"
	"fmt"
)

// Bits and lengths of a frame's header, RFC 6455 §5.2.
const (
	finBit   = 0x80 // of the first byte
	rsvBits  = 0x70
	kindBits = 0x0F

	maskBit    = 0x80 // of the second byte
	lengthBits = 0x7F
	length16   = 126 // the length is in the next 2 bytes
	length64   = 127 // the length is in the next 8 bytes

	keyLen       = 4
	longestInput = 2 + 8 + keyLen // bytes of a client's header

	// MaxHeaderLen is the longest header of a server's frame, in bytes.
	MaxHeaderLen = 2 + 8

	// MaxControlPayload is the longest payload of a control frame, in bytes.
	MaxControlPayload = 125
)

// header is what the header of a client's frame says.
type header struct {
	kind   Kind // of the frame, so continuation within a message
	fin    bool
	key    uint32 // little endian, the byte for the next of the payload first
	length int    // of the payload
}

// readHeader reads the header that data begins with. size is zero while it is
// incomplete. kind and received describe the message in progress, None and
// zero without one. The bytes are judged in their order, each once it is there.
func (d *Decoder) readHeader(data []byte, kind Kind, received int) (h header, size int, err error) {
	if len(data) == 0 {
		return h, 0, nil
	}
	h.kind, h.fin = Kind(data[0]&kindBits), data[0]&finBit != 0
	if err = d.judgeFirst(data[0], kind); err != nil || len(data) == 1 {
		return h, 0, err
	}
	if err = judgeSecond(data[1], h.kind); err != nil {
		return h, 0, err
	}
	length, size, err := readLength(data)
	if err != nil || size == 0 {
		return h, 0, err
	}
	if !h.kind.isControl() && length > uint64(d.max-received) { // compared before length becomes an int
		return h, 0, d.tooBig()
	}
	h.length = int(length)
	if len(data) < size+keyLen {
		return h, 0, nil
	}
	h.key = binary.LittleEndian.Uint32(data[size:])
	return h, size + keyLen, nil
}

func (d *Decoder) judgeFirst(b byte, inProgress Kind) error {
	kind, fin := Kind(b&kindBits), b&finBit != 0
	switch {
	case b&rsvBits != 0:
		return violation("reserved bit without an extension")
	case kind != continuation && !kind.isMessage() && !kind.isControl():
		return violation("reserved opcode")
	case kind.isControl() && !fin:
		return violation("control frame in fragments")
	case kind == continuation && inProgress == None:
		return violation("continuation without a message")
	case kind.isMessage() && inProgress != None:
		return violation("message within a message")
	case kind.isMessage() && d.only != None && kind != d.only:
		return &ProtocolError{Code: CloseUnsupported, Reason: d.only.String() + " messages only"}
	default:
		return nil
	}
}

func judgeSecond(b byte, kind Kind) error {
	length := b & lengthBits
	switch {
	case b&maskBit == 0:
		return violation("frame without a mask")
	case kind.isControl() && length > MaxControlPayload:
		return violation("control frame over 125 bytes")
	case kind == Close && length == 1:
		return violation("close frame with half a code")
	default:
		return nil
	}
}

// readLength reads the length of the payload; size is how many bytes of data
// end with it, zero while it is incomplete.
func readLength(data []byte) (length uint64, size int, err error) {
	switch short := data[1] & lengthBits; {
	case short < length16:
		return uint64(short), 2, nil
	case short == length16 && len(data) < 4, short == length64 && len(data) < 10:
		return 0, 0, nil
	case short == length16:
		length, size = uint64(binary.BigEndian.Uint16(data[2:])), 4
	default:
		length, size = binary.BigEndian.Uint64(data[2:]), 10
	}
	switch {
	case length>>63 != 0:
		return 0, 0, violation("length of 2^63 or more")
	case length < length16, size == 10 && length>>16 == 0:
		return 0, 0, violation("length in more bytes than it needs")
	default:
		return length, size, nil
	}
}

func (d *Decoder) tooBig() error {
	return &ProtocolError{Code: CloseTooBig, Reason: fmt.Sprintf("message over the limit of %d bytes", d.max)}
}
