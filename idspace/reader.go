package idspace

import "encoding/binary"

// reader takes fixed-width fields off the front of b. Once b is too short,
// short stays true and every field is zero.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || len(r.b) < n {
		r.short = true
		return make([]byte, n)
	}
	f := r.b[:n]
	r.b = r.b[n:]
	return f
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) uuid() [16]byte { return [16]byte(r.take(16)) }

// count reads the length of a list whose items take at least size bytes each,
// and reports whether so many can follow: it is asked before room for them is
// made.
func (r *reader) count(size int) (n int, ok bool) {
	v := r.uint32()
	if r.short || uint64(v)*uint64(size) > uint64(len(r.b)) {
		return 0, false
	}
	return int(v), true
}
