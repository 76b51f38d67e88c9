package consensus

import "encoding/binary"

// writer appends fields; integers are big-endian.
type writer []byte

func (w *writer) byte(b byte)     { *w = append(*w, b) }
func (w *writer) bytes(b []byte)  { *w = append(*w, b...) }
func (w *writer) uint64(v uint64) { *w = binary.BigEndian.AppendUint64(*w, v) }

// reader takes fields off bytes whose length was checked before.
type reader struct{ b []byte }

func (r *reader) byte() (v byte) {
	v, r.b = r.b[0], r.b[1:]
	return v
}

func (r *reader) bytes(dst []byte) { r.b = r.b[copy(dst, r.b):] }

func (r *reader) uint64() (v uint64) {
	v, r.b = binary.BigEndian.Uint64(r.b), r.b[8:]
	return v
}
