package load

import (
	"bytes"
	"fmt"
	"math/bits"
	"strings"
)

// The parts of a line, in bytes; then filler and a line feed.
const (
	connDigits  = 6
	indexDigits = 4
	headBytes   = connDigits + indexDigits
)

// lines are what connections send: all of one size.
type lines struct {
	size     int
	template []byte // of a line; its head is to be replaced
}

func newLines(size int) lines {
	const filler = "abcdefghijklmnopqrstuvwxyz"
	template := []byte(strings.Repeat("0", headBytes) + strings.Repeat(filler, size/len(filler)+1))
	template = template[:size]
	template[size-1] = '\n'
	return lines{size: size, template: template}
}

// appendLine appends the line of a connection with an index.
func (l *lines) appendLine(dst []byte, conn [connDigits]byte, index int) []byte {
	n := len(dst)
	dst = append(dst, l.template...)
	copy(dst[n:], conn[:])
	putDigits(dst[n+connDigits:n+headBytes], index)
	return dst
}

func putDigits(dst []byte, n int) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
}

// connOf returns how the number of a connection is written.
func connOf(number int) (conn [connDigits]byte) {
	putDigits(conn[:], number)
	return conn
}

// indexOf returns the index in a line of this connection. ok is false if it is
// no such line.
func (l *lines) indexOf(line []byte, conn [connDigits]byte) (index int, ok bool) {
	if len(line) != l.size || [connDigits]byte(line) != conn || !bytes.Equal(line[headBytes:], l.template[headBytes:]) {
		return 0, false
	}
	for _, c := range line[connDigits:headBytes] {
		if c < '0' || c > '9' {
			return 0, false
		}
		index = index*10 + int(c-'0')
	}
	return index, true
}

// A window holds what one connection has under way.
type window struct {
	conn  [connDigits]byte
	since []int64 // by index: when it was due or sent, never 0; 0 if it is not under way
	next  int     // where to look for a free index
	out   int     // under way
}

// newWindow returns a window of so many lines.
func newWindow(number, outstanding int) window {
	// Twice as many indices as are under way at most: one that has just come
	// back is not used again at once.
	indices := 1 << bits.Len(uint(2*outstanding-1))
	return window{conn: connOf(number), since: make([]int64, indices)}
}

// begin puts a line under way and returns its index. There must be room.
func (w *window) begin(since int64) (index int) {
	for w.since[w.next] != 0 {
		w.next = (w.next + 1) % len(w.since)
	}
	index = w.next
	w.since[index] = since
	w.next = (w.next + 1) % len(w.since)
	w.out++
	return index
}

// end takes a reply and returns since when its line was under way.
func (w *window) end(l *lines, line []byte) (since int64, err error) {
	index, ok := l.indexOf(line, w.conn)
	switch {
	case !ok:
		return 0, wrongReply(w.conn, line, "which it never sent")
	case index >= len(w.since) || w.since[index] == 0:
		return 0, wrongReply(w.conn, line, "which is not under way")
	}
	since, w.since[index] = w.since[index], 0
	w.out--
	return since, nil
}

func wrongReply(conn [connDigits]byte, line []byte, why string) error {
	const shown = 80
	return fmt.Errorf("%w: connection %s got %.*q, %s", ErrWrongReply, conn, shown, line, why)
}

// An input cuts what one connection receives into lines of one size, after a
// greeting.
type input struct {
	part []byte // of a line that is not complete
	met  bool   // the greeting, if there is one, is passed
}

// cut calls each for every complete line. The line is valid during the call.
func (in *input) cut(data []byte, size int, greeting string, each func(line []byte) error) error {
	if len(in.part) > 0 {
		in.part = append(in.part, data...)
		data = in.part
	}
	if !in.met {
		rest, ok := passGreeting(data, greeting)
		if !ok {
			in.part = append(in.part[:0], data...)
			return nil
		}
		data, in.met = rest, true
	}
	for len(data) >= size {
		if err := each(data[:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	if len(data) > 0 && bytes.IndexByte(data, '\n') >= 0 {
		return each(data[:bytes.IndexByte(data, '\n')+1]) // too short: it says what is wrong
	}
	in.part = append(in.part[:0], data...)
	return nil
}

// maxGreeting bounds a greeting, in bytes.
const maxGreeting = 256

// passGreeting returns what follows the greeting, or all of data if it begins
// otherwise. ok is false if data is too short to say.
func passGreeting(data []byte, greeting string) (rest []byte, ok bool) {
	common := min(len(data), len(greeting))
	if string(data[:common]) != greeting[:common] || greeting == "" {
		return data, true
	}
	_, rest, complete := bytes.Cut(data, []byte{'\n'})
	if !complete {
		return data, len(data) > maxGreeting
	}
	return rest, true
}
