package idspace

import (
	"encoding/binary"
	"fmt"
)

// A command begins with its format version and its kind. Its length is fixed
// by both; integers are big-endian.
//
//	grant     version kind boot:16 ordinal:4 server:16 start:8 tick:8
//	end life  version kind boot:16 cause:1
const (
	commandVersion = 1

	kindGrant   = 1
	kindEndLife = 2

	grantLen   = 2 + 16 + 4 + 16 + 8 + 8
	endLifeLen = 2 + 16 + 1
)

// EncodeCommand returns the form of c that goes into the log. The error
// matches [ErrBadCommand].
func EncodeCommand(c Command) ([]byte, error) {
	if c == nil {
		return nil, fmt.Errorf("idspace: encode command: %w: nil", ErrBadCommand)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("idspace: encode command: %w", err)
	}
	return c.appendTo(make([]byte, 0, grantLen)), nil
}

// DecodeCommand returns the command that [EncodeCommand] encoded; it keeps
// nothing of b. The error matches [ErrUnknownVersion] or [ErrBadCommand].
func DecodeCommand(b []byte) (Command, error) {
	c, err := decodeCommand(b)
	if err != nil {
		return nil, fmt.Errorf("idspace: decode command: %w", err)
	}
	return c, nil
}

func decodeCommand(b []byte) (Command, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadCommand, len(b))
	}
	if b[0] != commandVersion {
		return nil, fmt.Errorf("%w: %d, want %d", ErrUnknownVersion, b[0], commandVersion)
	}
	var c Command
	r := reader{b: b[2:]}
	switch kind := b[1]; {
	case kind == kindGrant && len(b) == grantLen:
		c = Grant{
			Boot:    r.uuid(),
			Ordinal: r.uint32(),
			Server:  r.uuid(),
			Start:   r.uint64(),
			Tick:    Tick(r.uint64()),
		}
	case kind == kindEndLife && len(b) == endLifeLen:
		c = EndLife{Boot: r.uuid(), Cause: EndCause(r.byte())}
	default:
		return nil, fmt.Errorf("%w: kind %d of %d bytes", ErrBadCommand, kind, len(b))
	}
	return c, c.check()
}

func (g Grant) appendTo(b []byte) []byte {
	b = append(b, commandVersion, kindGrant)
	b = append(b, g.Boot[:]...)
	b = binary.BigEndian.AppendUint32(b, g.Ordinal)
	b = append(b, g.Server[:]...)
	b = binary.BigEndian.AppendUint64(b, g.Start)
	return binary.BigEndian.AppendUint64(b, uint64(g.Tick))
}

func (e EndLife) appendTo(b []byte) []byte {
	b = append(b, commandVersion, kindEndLife)
	b = append(b, e.Boot[:]...)
	return append(b, byte(e.Cause))
}
