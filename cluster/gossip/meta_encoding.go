package gossip

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"flamingo/idspace"
)

// Meta begins with its version; integers are big-endian. An address is the
// length of its IP (0, 4 or 16; 0 ends it), the IP, and the port.
//
//	version:1 n:1 name:n number:8 numbers:8 cluster:16 server:16 role:1
//	address:1+4+2|1+16+2 admin:1|1+4+2|1+16+2 state:1 min:2 max:2
//	n:1 release:n
//
// A later version keeps these fields as they are and appends others. So a
// reader takes the fields it knows of any later version, takes a role or state
// it does not know for the first one, and passes over the rest. Of its own
// version it accepts nothing but what Encode writes.
const (
	metaVersion = 1

	// MaxMetaLen bounds the encoded form. memberlist allows 512 bytes, in
	// packets of 1400 that hold several.
	MaxMetaLen = 299
)

// Encode returns the form in which m is announced. The error matches
// [ErrBadMeta].
func (m Meta) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("gossip: encode meta: %w", err)
	}
	b := append(make([]byte, 0, MaxMetaLen), metaVersion, byte(len(m.Name)))
	b = append(b, m.Name...)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Number))
	b = binary.BigEndian.AppendUint64(b, m.Numbers)
	b = append(b, m.Cluster[:]...)
	b = append(b, m.Server[:]...)
	b = append(b, byte(m.Role))
	b = appendAddr(b, m.Address)
	b = appendAddr(b, m.Admin)
	b = append(b, byte(m.State))
	b = binary.BigEndian.AppendUint16(b, m.MinVersion)
	b = binary.BigEndian.AppendUint16(b, m.MaxVersion)
	return append(append(b, byte(len(m.Release))), m.Release...), nil
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().AsSlice()
	b = append(b, byte(len(ip)))
	if len(ip) == 0 {
		return b
	}
	b = append(b, ip...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// DecodeMeta returns what [Meta.Encode] encoded; it keeps nothing of b. The
// error matches [ErrBadMeta].
func DecodeMeta(b []byte) (Meta, error) {
	m, err := decodeMeta(b)
	if err != nil {
		return Meta{}, fmt.Errorf("gossip: decode meta: %w", err)
	}
	return m, nil
}

func decodeMeta(b []byte) (Meta, error) {
	if len(b) < 1 || len(b) > MaxMetaLen || b[0] < metaVersion {
		return Meta{}, fmt.Errorf("%w: %d bytes", ErrBadMeta, len(b))
	}
	later := b[0] > metaVersion
	r := reader{b: b[1:]}
	m := Meta{
		Name:    string(r.take(int(r.byte()))),
		Number:  idspace.NodeNumber(r.uint64()),
		Numbers: r.uint64(),
		Cluster: r.uuid(),
		Server:  r.uuid(),
		Role:    Role(r.byte()),
	}
	m.Address, m.Admin = r.addr(), r.addr()
	m.State = State(r.byte())
	m.MinVersion, m.MaxVersion = r.uint16(), r.uint16()
	m.Release = string(r.take(int(r.byte())))
	if r.short || (len(r.b) > 0 && !later) {
		return Meta{}, fmt.Errorf("%w: %d bytes: cut short, or more than the fields", ErrBadMeta, len(b))
	}
	if later && m.Role > RoleVoter {
		m.Role = RoleOutside
	}
	if later && m.State > StateDraining {
		m.State = StateJoining
	}
	return m, m.check()
}

// reader takes fields off b. Past the end it returns zeros and sets short.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	f := r.b[:n]
	r.b = r.b[n:]
	return f
}

func (r *reader) byte() byte {
	if f := r.take(1); f != nil {
		return f[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if f := r.take(2); f != nil {
		return binary.BigEndian.Uint16(f)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if f := r.take(8); f != nil {
		return binary.BigEndian.Uint64(f)
	}
	return 0
}

func (r *reader) uuid() (u [16]byte) {
	copy(u[:], r.take(len(u)))
	return u
}

func (r *reader) addr() netip.AddrPort {
	n := int(r.byte())
	if n == 0 {
		return netip.AddrPort{}
	}
	if n != 4 && n != 16 {
		r.short = true
		return netip.AddrPort{}
	}
	ip, _ := netip.AddrFromSlice(r.take(n))
	return netip.AddrPortFrom(ip, r.uint16())
}
