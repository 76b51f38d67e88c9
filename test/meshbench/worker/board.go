//go:build linux

package worker

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// MessageBytes is the length of every message, as a client receives it.
const MessageBytes = 64

// A Board is a page of memory that the processes of one design share: the
// client program writes there what it has received. Reading it costs the
// sender under test no system call.
type Board struct {
	mem   []byte
	bytes *atomic.Uint64 // received by all clients
}

// OpenBoard maps the file name, which is made if it is missing. The mapping
// lasts as long as the process.
func OpenBoard(name string) (*Board, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const page = 4096
	if err := f.Truncate(page); err != nil {
		return nil, err
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	return &Board{mem: mem, bytes: (*atomic.Uint64)(unsafe.Pointer(&mem[0]))}, nil
}

// Add counts bytes that a client has received.
func (b *Board) Add(n int) { b.bytes.Add(uint64(n)) }

// Messages returns how many messages the clients have received.
func (b *Board) Messages() uint64 { return b.bytes.Load() / MessageBytes }
