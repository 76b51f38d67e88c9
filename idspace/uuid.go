package idspace

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// BootID names one start of a node: the life before it has any number. The
// zero value means none.
type BootID [16]byte

// ServerID names a data directory, from its creation until it is wiped. The
// zero value stands for a node without one.
type ServerID [16]byte

// ClusterID names a cluster, from its founding on. The zero value means none.
type ClusterID [16]byte

// NewBootID returns a random (version 4) UUID made of 16 bytes of random,
// which should come from crypto/rand.
func NewBootID(random io.Reader) (BootID, error) {
	u, err := newUUID(random)
	return BootID(u), err
}

// NewServerID is like [NewBootID].
func NewServerID(random io.Reader) (ServerID, error) {
	u, err := newUUID(random)
	return ServerID(u), err
}

// NewClusterID is like [NewBootID].
func NewClusterID(random io.Reader) (ClusterID, error) {
	u, err := newUUID(random)
	return ClusterID(u), err
}

// ParseBootID reads the text form, a UUID in lower case. The error matches
// [ErrBadUUID], also for the zero UUID.
func ParseBootID(s string) (BootID, error) {
	u, err := parseUUID(s)
	return BootID(u), err
}

// ParseServerID is like [ParseBootID].
func ParseServerID(s string) (ServerID, error) {
	u, err := parseUUID(s)
	return ServerID(u), err
}

// ParseClusterID is like [ParseBootID].
func ParseClusterID(s string) (ClusterID, error) {
	u, err := parseUUID(s)
	return ClusterID(u), err
}

// IsZero reports whether b is the zero value.
func (b BootID) IsZero() bool { return b == BootID{} }

// String returns the text form.
func (b BootID) String() string { return formatUUID(b) }

// LogValue implements [slog.LogValuer] with the text form, also of zero.
func (b BootID) LogValue() slog.Value { return slog.StringValue(b.String()) }

// MarshalText implements [encoding.TextMarshaler]. It refuses the zero value.
func (b BootID) MarshalText() ([]byte, error) { return marshalUUID(b) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *BootID) UnmarshalText(t []byte) error {
	v, err := ParseBootID(string(t))
	return assign(b, v, err)
}

// IsZero reports whether s is the zero value.
func (s ServerID) IsZero() bool { return s == ServerID{} }

// String returns the text form.
func (s ServerID) String() string { return formatUUID(s) }

// LogValue implements [slog.LogValuer] with the text form, also of zero.
func (s ServerID) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler]. It refuses the zero value.
func (s ServerID) MarshalText() ([]byte, error) { return marshalUUID(s) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *ServerID) UnmarshalText(t []byte) error {
	v, err := ParseServerID(string(t))
	return assign(s, v, err)
}

// IsZero reports whether c is the zero value.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// String returns the text form.
func (c ClusterID) String() string { return formatUUID(c) }

// LogValue implements [slog.LogValuer] with the text form, also of zero.
func (c ClusterID) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText implements [encoding.TextMarshaler]. It refuses the zero value.
func (c ClusterID) MarshalText() ([]byte, error) { return marshalUUID(c) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *ClusterID) UnmarshalText(t []byte) error {
	v, err := ParseClusterID(string(t))
	return assign(c, v, err)
}

func newUUID(random io.Reader) (u [16]byte, err error) {
	if _, err := io.ReadFull(random, u[:]); err != nil {
		return [16]byte{}, fmt.Errorf("idspace: new uuid: %w", err)
	}
	// Version and variant, RFC 9562 section 5.4.
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u, nil
}

// uuidGroups are the byte ranges between the hyphens of the text form,
// RFC 9562 section 4.
var uuidGroups = [...]struct{ from, to int }{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}}

const uuidLen = 36

func formatUUID(u [16]byte) string {
	b := make([]byte, 0, uuidLen)
	for i, g := range uuidGroups {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, u[g.from:g.to])
	}
	return string(b)
}

func marshalUUID(u [16]byte) ([]byte, error) {
	if u == [16]byte{} {
		return nil, fmt.Errorf("%w: it is zero", ErrBadUUID)
	}
	return []byte(formatUUID(u)), nil
}

func parseUUID(s string) (u [16]byte, err error) {
	// What decodes is printed again and compared, which leaves one text form:
	// package hex alone would accept upper case, and hyphens anywhere.
	if len(s) == uuidLen {
		digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
		_, err = hex.Decode(u[:], []byte(digits))
		if err == nil && u != [16]byte{} && formatUUID(u) == s {
			return u, nil
		}
	}
	return [16]byte{}, fmt.Errorf("%w: %q: want 8-4-4-4-12 lower-case hex digits, not all zero",
		ErrBadUUID, s[:min(len(s), quoteLimit)])
}
