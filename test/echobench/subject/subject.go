// Package subject is what every echo server under measurement has in common,
// whatever it is made of: how it is spoken to, and how it cuts lines.
//
// It serves nothing itself. A Cutter belongs to one connection and is used by
// one goroutine at a time.
package subject

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Workers is how many goroutines take messages and send them back, in a server
// that hands them on.
const Workers = 10

// Obey says on out that the server listens, and does what is said on in until
// that ends: "memory" is answered with the bytes in use after a collection.
func Obey(in io.Reader, out io.Writer, addr string) error {
	fmt.Fprintln(out, "listening", addr)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if lines.Text() != "memory" {
			return fmt.Errorf("%q: allowed is memory", lines.Text())
		}
		fmt.Fprintln(out, "memory", inUse())
	}
	return nil
}

// inUse is how many bytes of heap and stacks are in use.
func inUse() uint64 {
	runtime.GC() // which begins to empty the pools
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// A Cutter keeps the beginning of a line whose rest has not come.
type Cutter struct{ part []byte }

// Cut calls each, if it is not nil, with every complete line, and returns all of
// them together. Both are valid until the next call, or until data changes.
func (c *Cutter) Cut(data []byte, each func(line []byte)) (whole []byte) {
	if len(c.part) > 0 {
		data = append(c.part, data...)
		c.part = nil
	}
	used := 0
	for {
		end := bytes.IndexByte(data[used:], '\n')
		if end < 0 {
			break
		}
		if each != nil {
			each(data[used : used+end+1])
		}
		used += end + 1
	}
	if used < len(data) {
		c.part = append([]byte(nil), data[used:]...)
	}
	return data[:used]
}
