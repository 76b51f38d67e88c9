//go:build linux

package worker

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// A Board is memory that the processes of one design share: the client program
// writes there what it has received. Reading it costs the sender under test no
// system call.
type Board struct{ *layout }

type layout struct {
	messages, doubled, disordered, foreign atomic.Uint64

	last      atomic.Int64 // Unix time in nanoseconds of the newest of them
	latencies latencies
}

// OpenBoard maps the file name, which is made if it is missing. The mapping
// lasts as long as the process.
func OpenBoard(name string) (*Board, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const size = int(unsafe.Sizeof(layout{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	return &Board{(*layout)(unsafe.Pointer(&mem[0]))}, nil
}

// Add counts what clients have received by now.
func (b *Board) Add(t Tally) {
	b.last.Store(time.Now().UnixNano())
	b.doubled.Add(t.Doubled)
	b.disordered.Add(t.Disordered)
	b.foreign.Add(t.Foreign)
	b.messages.Add(t.Messages)
}

// AddLatency counts how long one message took.
func (b *Board) AddLatency(d time.Duration) { b.latencies.add(d) }

// Messages returns how many messages the clients have received.
func (b *Board) Messages() uint64 { return b.messages.Load() }

// Last returns when they received the newest.
func (b *Board) Last() time.Time { return time.Unix(0, b.last.Load()) }

// Tally returns what they have received.
func (b *Board) Tally() Tally {
	return Tally{
		Messages: b.messages.Load(), Doubled: b.doubled.Load(),
		Disordered: b.disordered.Load(), Foreign: b.foreign.Load(),
	}
}

// Latencies returns how long timed messages took.
func (b *Board) Latencies() Latencies {
	all := make(Latencies, latencyBuckets)
	for i := range all {
		all[i] = b.latencies[i].Load()
	}
	return all
}
