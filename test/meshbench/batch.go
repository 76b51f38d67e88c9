//go:build linux

package main

import (
	"bufio"
	"context"
	"net"
	"sync"
	"syscall"
	"unsafe"
)

// pendingBytes bounds what waits for the writer.
const pendingBytes = 4 << 20

// A batch is what waits to be written to a stream: all of it is one write.
type batch struct {
	conn net.Conn

	mu      sync.Mutex
	more    sync.Cond
	room    sync.Cond
	pending []byte // guarded by mu, as the next two
	spare   []byte
	err     error // of the writer
}

func newBatch(conn net.Conn) *batch {
	b := &batch{conn: conn}
	b.more.L, b.room.L = &b.mu, &b.mu
	return b
}

// add has frame append to what waits, once there is room.
func (b *batch) add(frame func([]byte) []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pending) > pendingBytes && b.err == nil {
		b.room.Wait()
	}
	b.pending = frame(b.pending)
	b.more.Signal()
	return b.err
}

// write writes all that waits at a time, until the stream fails.
func (b *batch) write() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil {
		for len(b.pending) == 0 {
			b.more.Wait()
		}
		buf := b.pending
		b.pending, b.spare = b.spare, nil
		b.room.Broadcast()
		b.mu.Unlock()
		_, err := b.conn.Write(buf)
		b.mu.Lock()
		b.spare, b.err = buf[:0], err
	}
}

// tickets are numbers that come back once a message is written.
type tickets struct {
	mu      sync.Mutex
	last    uint32 // guarded by mu
	waiting map[uint32]chan struct{}
}

// take returns a new number, from one, and what is closed once it is back.
func (t *tickets) take() (n uint32, back <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == nil {
		t.waiting = make(map[uint32]chan struct{})
	}
	t.last++
	c := make(chan struct{})
	t.waiting[t.last] = c
	return t.last, c
}

// await waits until what take returned is closed.
func await(ctx context.Context, back <-chan struct{}) error {
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *tickets) give(n uint32) {
	t.mu.Lock()
	c := t.waiting[n]
	delete(t.waiting, n)
	t.mu.Unlock()
	if c != nil {
		close(c)
	}
}

// An input is a stream that is read in frames.
type input struct {
	*bufio.Reader
	conn syscall.RawConn
}

func newInput(conn net.Conn) (*input, error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	return &input{bufio.NewReaderSize(conn, frameRoom), raw}, err
}

// waits reports whether at least some bytes are here already, so that what they
// say can be done together with what is to be done now.
func (in *input) waits(some int) bool {
	if in.Buffered() >= some {
		return true
	}
	var n int32
	err := in.conn.Control(func(fd uintptr) {
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&n)))
	})
	return err == nil && in.Buffered()+int(n) >= some
}
