package mesh_test

import (
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A countedConn counts its writes.
type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// TestWhoIsReadyToSendSharesAWrite has a hundred goroutines send on one processor,
// one message at a time each, and as many answer.
func TestWhoIsReadyToSendSharesAWrite(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var sent, answered atomic.Int64
	r := newRig(t, 2)
	r.loopback()
	pipe := r.pipe
	r.pipe = func() (net.Conn, net.Conn, error) {
		a, b, err := pipe()
		return countedConn{a, &sent}, countedConn{b, &answered}, err
	}
	r.node(2).written = func(_ idspace.ID, _ []byte, _ time.Duration, done func(error)) { go done(nil) }
	r.run()
	a, b := r.node(1), r.node(2)
	if err := a.To(b.boot).Send(t.Context(), idOf(2, 1), mesh.KindDefault, nil); err != nil { // the streams are open
		t.Fatal(err)
	}
	sent.Store(0)
	answered.Store(0)
	const senders, each = 100, 20
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for range each {
				if err := a.To(b.boot).Send(context.Background(), idOf(2, i+1), mesh.KindDefault, []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// Without a pause each write there has one frame, now and then a few.
	if limit := int64(senders * each / 4); sent.Load() > limit || answered.Load() > limit {
		t.Errorf("%d sends took %d writes there and %d back, want at most %d", senders*each, sent.Load(), answered.Load(), limit)
	}
}
