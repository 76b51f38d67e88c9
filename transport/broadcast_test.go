package transport_test

import (
	"bytes"
	"io"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
)

// A message to a thousand connections costs a few allocations, not thousands.
func TestBroadcastAllocatesNothingForEachConnection(t *testing.T) {
	if raceEnabled {
		t.Skip("pools are not kept under the race detector")
	}
	const conns = 1000
	for _, size := range []int{100, 5000} { // copied, shared
		tr, _ := serve(t, func(c *transport.Config) {
			c.MaxConns = conns + 1
			c.Ignore = transport.IgnoreCloses
		})
		var clients []io.Reader
		var ids []idspace.ID
		for range conns {
			clients = append(clients, connect(t, tr))
			c, _ := tr.RecvOpen()
			ids = append(ids, c.ID())
		}
		msg, in := bytes.Repeat([]byte("b"), size), make([]byte, size+1)
		step := func() {
			m := tr.Broadcast(transport.KindDefault, msg)
			for _, id := range ids {
				if err := m.Deliver(id); err != nil {
					t.Fatal(err)
				}
			}
			m.Done()
			for k, c := range clients {
				if _, err := io.ReadFull(c, in); err != nil || !bytes.Equal(in[:size], msg) || in[size] != '\n' {
					t.Fatalf("client %d read %.20q…, %v", k, in, err)
				}
			}
		}
		step()
		if n := testing.AllocsPerRun(10, step); n > conns/5 { // the pools are emptied now and then
			t.Errorf("%d bytes to %d connections: %v allocations; want a few", size, conns, n)
		}
	}
}
