//go:build linux

package worker

import (
	"net"
	"sync"
	"sync/atomic"
)

// Clients are the client connections of a design that has no node for them.
// They are numbered from one, in the order in which they were accepted.
type Clients struct {
	all atomic.Pointer[[]net.Conn] // replaced under mu
	mu  sync.Mutex
}

// NewClients returns no clients yet.
func NewClients() *Clients {
	c := &Clients{}
	c.all.Store(new([]net.Conn))
	return c
}

// Accept takes connections until ln is closed.
func (c *Clients) Accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		all := append([]net.Conn(nil), *c.all.Load()...)
		all = append(all, conn)
		c.all.Store(&all)
		c.mu.Unlock()
	}
}

// IDs returns the numbers.
func (c *Clients) IDs() []uint64 {
	ids := make([]uint64, len(*c.all.Load()))
	for i := range ids {
		ids[i] = uint64(i + 1)
	}
	return ids
}

// Get returns the connection with a number.
func (c *Clients) Get(id uint64) net.Conn {
	if all := *c.all.Load(); id > 0 && id <= uint64(len(all)) {
		return all[id-1]
	}
	return nil
}

// Buffers collect output for clients, so that many messages become one write.
// They belong to one goroutine.
type Buffers struct {
	clients *Clients
	pending []*pending // by number
	dirty   []*pending
	size    int
}

type pending struct {
	conn net.Conn
	buf  []byte
}

// bufferedBytes is how much is collected at most.
const bufferedBytes = 1 << 20

// NewBuffers returns buffers for c.
func NewBuffers(c *Clients) *Buffers {
	return &Buffers{clients: c}
}

// Put appends msg to what is to be written to a client that was accepted before
// the first Put. It reports whether the buffers are full.
func (b *Buffers) Put(id uint64, msg []byte) (full bool) {
	for uint64(len(b.pending)) <= id {
		b.pending = append(b.pending, &pending{conn: b.clients.Get(uint64(len(b.pending)))})
	}
	p := b.pending[id]
	if len(p.buf) == 0 {
		b.dirty = append(b.dirty, p)
	}
	p.buf = append(p.buf, msg...)
	b.size += len(msg)
	return b.size >= bufferedBytes
}

// Flush writes what was collected.
func (b *Buffers) Flush() error {
	for _, p := range b.dirty {
		if _, err := p.conn.Write(p.buf); err != nil {
			return err
		}
		p.buf = p.buf[:0]
	}
	b.dirty, b.size = b.dirty[:0], 0
	return nil
}
