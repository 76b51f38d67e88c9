//go:build linux

package worker

import (
	"net"
	"sync"
)

// Clients are the client connections of a design that has no node for them.
// They are numbered from one, in the order in which they were accepted. The zero
// value has none.
type Clients struct {
	mu  sync.Mutex
	all []net.Conn // guarded by mu
}

// Accept takes connections until ln is closed.
func (c *Clients) Accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.all = append(c.all, conn)
		c.mu.Unlock()
	}
}

// IDs returns the numbers.
func (c *Clients) IDs() []uint64 {
	ids := make([]uint64, c.count())
	for i := range ids {
		ids[i] = uint64(i + 1)
	}
	return ids
}

func (c *Clients) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

func (c *Clients) get(id uint64) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[id-1]
}

// Buffers collect output for clients, so that many messages become one write.
// They belong to one goroutine.
type Buffers struct {
	clients *Clients
	pending []*pending // by number less one
	dirty   []*pending
	size    int
}

type pending struct {
	conn net.Conn
	buf  []byte
}

// Buffers are full at fullBytes, if that is fullEach for every client on average:
// to few clients no more than the cache holds, to many enough for a write.
const (
	fullBytes = 1 << 20
	fullEach  = 4 << 10
)

// NewBuffers returns buffers for c.
func NewBuffers(c *Clients) *Buffers { return &Buffers{clients: c} }

// Put appends msg to what is to be written to a client. It reports whether the
// buffers are full.
func (b *Buffers) Put(id uint64, msg []byte) (full bool) {
	b.reach(id)
	b.put(b.pending[id-1], msg)
	return b.full()
}

// PutAll is Put to every client.
func (b *Buffers) PutAll(msg []byte) (full bool) {
	b.reach(uint64(b.clients.count()))
	for _, p := range b.pending {
		b.put(p, msg)
	}
	return b.full()
}

func (b *Buffers) full() bool { return b.size >= max(fullBytes, len(b.dirty)*fullEach) }

func (b *Buffers) reach(id uint64) {
	for n := uint64(len(b.pending)); n < id; n++ {
		b.pending = append(b.pending, &pending{conn: b.clients.get(n + 1)})
	}
}

func (b *Buffers) put(p *pending, msg []byte) {
	if len(p.buf) == 0 {
		b.dirty = append(b.dirty, p)
	}
	p.buf = append(p.buf, msg...)
	b.size += len(msg)
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
