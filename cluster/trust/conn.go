package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
)

// Sizes of a batch of records.
const (
	recordSize = 16 << 10 // of plain bytes, at most: RFC 8446 §5.1
	batchSize  = 64 << 10 // from which on a batch is written
)

// Conn is a stream between two nodes that are sure of each other.
type Conn struct {
	*tls.Conn
	raw   *gatherer
	trust *Trust
	peer  Identity

	// What the other end has shown, to be judged again when files change.
	key   []byte // for proofs; one of a snapshot
	chain []*x509.Certificate
	usage x509.ExtKeyUsage

	writing sync.Mutex // held for one Write
}

// tlsConn returns a connection under tls, with what is between it and nc.
func tlsConn(nc net.Conn, cfg *tls.Config, end func(net.Conn, *tls.Config) *tls.Conn) (*tls.Conn, *gatherer) {
	raw := &gatherer{Conn: nc}
	return end(raw, cfg), raw
}

// Peer returns what the certificate of the other end says; zero without a CA.
func (c *Conn) Peer() Identity { return c.peer }

// NetConn returns the connection below, for options of its socket.
func (c *Conn) NetConn() net.Conn { return c.raw.Conn }

// Write writes b, of whatever length, with one write of the socket for each
// batchSize of records.
func (c *Conn) Write(b []byte) (int, error) {
	if len(b) <= recordSize { // one record, one write
		return c.Conn.Write(b)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.raw.gather()
	n, err := c.Conn.Write(b)
	if flushed := c.raw.flush(); err == nil && flushed != nil {
		return 0, flushed
	}
	return n, err
}

// Close closes the connection below at once, without a goodbye that a peer that
// does not read could hold up: what runs over it says itself when it is done.
func (c *Conn) Close() error {
	c.trust.forget(c)
	return c.raw.Conn.Close()
}

// gatherer is the connection under TLS, which writes each record by itself. It
// gathers those of one batch.
type gatherer struct {
	net.Conn

	mu        sync.Mutex
	gathering bool
	batch     []byte
	failed    error // of the first write that failed: what followed it would be garbage
}

// batches are the buffers of batches that are not under way.
var batches = sync.Pool{New: func() any { b := make([]byte, 0, batchSize+2*recordSize); return &b }}

// gather keeps what is written until flush, or until there is a batch of it.
func (g *gatherer) gather() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gathering, g.batch = true, *batches.Get().(*[]byte)
}

func (g *gatherer) flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.writeLocked()
	free := g.batch[:0]
	batches.Put(&free)
	g.gathering, g.batch = false, nil
	return err
}

// Write implements net.Conn. Records that are no part of the batch, such as
// answers to the other end, find their place in it, as they must.
func (g *gatherer) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return 0, g.failed
	}
	if !g.gathering {
		return g.Conn.Write(b)
	}
	g.batch = append(g.batch, b...)
	if len(g.batch) < batchSize {
		return len(b), nil
	}
	if err := g.writeLocked(); err != nil {
		return 0, err
	}
	return len(b), nil
}

// writeLocked writes the batch. It waits for the socket under the lock: that is
// what the lock is for, and Close does not need it.
func (g *gatherer) writeLocked() error {
	if len(g.batch) == 0 || g.failed != nil {
		return g.failed
	}
	_, g.failed = g.Conn.Write(g.batch)
	g.batch = g.batch[:0]
	return g.failed
}

// isEnd reports whether err is the end of a stream.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}
