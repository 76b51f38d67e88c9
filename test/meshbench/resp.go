//go:build linux

package main

import (
	"fmt"
	"io"
	"strconv"
)

// appendCommand appends a command of Redis to b.
func appendCommand(b []byte, words ...[]byte) []byte {
	b = append(strconv.AppendInt(append(b, '*'), int64(len(words)), 10), "\r\n"...)
	for _, w := range words {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(w)), 10), "\r\n"...)
		b = append(append(b, w...), "\r\n"...)
	}
	return b
}

// A respReader reads what a Redis server pushes to a subscriber: arrays of
// strings and integers.
type respReader struct {
	in    *input
	words [][]byte // of the last array
	buf   []byte
}

// next returns the next array. It is valid until the next call.
func (r *respReader) next() ([][]byte, error) {
	n, err := r.number('*')
	if err != nil {
		return nil, err
	}
	r.words, r.buf = r.words[:0], r.buf[:0]
	var lengths [4]int
	if n > len(lengths) {
		return nil, fmt.Errorf("array of %d", n)
	}
	for i := range n {
		if lengths[i], err = r.word(); err != nil {
			return nil, err
		}
	}
	rest := r.buf
	for _, l := range lengths[:n] {
		r.words, rest = append(r.words, rest[:l]), rest[l:]
	}
	return r.words, nil
}

// word appends a string or the digits of an integer to buf, and returns how long
// it is.
func (r *respReader) word() (int, error) {
	line, err := r.line()
	if err != nil {
		return 0, err
	}
	if line[0] == ':' {
		r.buf = append(r.buf, line[1:]...)
		return len(line) - 1, nil
	}
	n, err := parse(line, '$')
	if err != nil {
		return 0, err
	}
	at := len(r.buf)
	for len(r.buf) < at+n+2 {
		r.buf = append(r.buf, 0)
	}
	_, err = io.ReadFull(r.in, r.buf[at:])
	r.buf = r.buf[:at+n]
	return n, err
}

func (r *respReader) number(sign byte) (int, error) {
	line, err := r.line()
	if err != nil {
		return 0, err
	}
	return parse(line, sign)
}

func (r *respReader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, fmt.Errorf("line %q", line)
	}
	return line[:len(line)-2], nil
}

func parse(line []byte, sign byte) (n int, err error) {
	if line[0] != sign {
		return 0, fmt.Errorf("line %q, want %q", line, sign)
	}
	for _, c := range line[1:] {
		if c < '0' || c > '9' || n > 1<<30 {
			return 0, fmt.Errorf("number %q", line)
		}
		n = 10*n + int(c-'0')
	}
	return n, nil
}
