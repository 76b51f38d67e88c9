package trust_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"flamingo/cluster/trust"
	"flamingo/cluster/trust/trusttest"
)

// counted counts the writes of a connection.
type counted struct {
	net.Conn
	writes atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func TestBatchTakesFewWrites(t *testing.T) {
	tr := open(t, trust.Config{KeyFile: trusttest.KeyFile(t, trusttest.NewKey(t))})
	near, far := net.Pipe()
	c := &counted{Conn: near}
	e := meetOver(t, c, far, tr, tr, alpns[2])
	if e.dialedErr != nil || e.acceptedErr != nil {
		t.Fatal(e.dialedErr, e.acceptedErr)
	}
	for size, most := range map[int]int64{64: 1, 16 << 10: 1, 60 << 10: 1, 128 << 10: 3, 1 << 20: 17} {
		c.writes.Store(0)
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := e.dialed.Write(make([]byte, size)); n != size || err != nil {
				t.Errorf("Write of %d = %d, %v", size, n, err)
			}
		})
		if _, err := io.ReadFull(e.accepted, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if got := c.writes.Load(); got > most {
			t.Errorf("%d bytes took %d writes, want at most %d", size, got, most)
		}
	}
}

// TestCloseEndsAWriteThatNobodyReads closes a stream whose peer has stopped.
func TestCloseEndsAWriteThatNobodyReads(t *testing.T) {
	tr := open(t, trust.Config{KeyFile: trusttest.KeyFile(t, trusttest.NewKey(t))})
	near, far := net.Pipe()
	e := meetOver(t, near, far, tr, tr, alpns[2])
	if e.dialedErr != nil || e.acceptedErr != nil {
		t.Fatal(e.dialedErr, e.acceptedErr)
	}
	for _, size := range []int{100, 100 << 10} {
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := e.dialed.Write(make([]byte, size)); err == nil {
				t.Errorf("Write of %d to nobody succeeds", size)
			}
		})
		if err := e.dialed.Close(); err != nil { // it would wait for the deadline otherwise, 20 s
			t.Error(err)
		}
		wg.Wait()
	}
}
