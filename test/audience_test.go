package test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/node"
)

// An audience is the clients of a fabric. It notes what they receive, and that no id
// comes twice.
type audience struct {
	t        testing.TB
	greeting string       // begins the first line that a client receives; its id follows
	arrived  atomic.Int64 // messages, of all clients

	mu      sync.Mutex
	clients map[node.ID]*listener // guarded by mu: those not forgotten
	issued  map[node.ID]bool      // guarded by mu: every id there ever was
}

// A listener is a client that knows its id and notes what it receives.
type listener struct {
	id    node.ID
	nc    net.Conn
	ended chan struct{} // closed when the node has ended the connection

	mu       sync.Mutex
	messages []message // guarded by mu: numbered ones
	texts    []string  // guarded by mu: others
	fault    error     // guarded by mu: a damaged message
}

// newAudience returns an audience that goes away at the end of the test.
func newAudience(t testing.TB) *audience {
	a := &audience{t: t, greeting: greeting, clients: map[node.ID]*listener{}, issued: map[node.ID]bool{}}
	t.Cleanup(func() {
		for _, c := range a.clients {
			c.nc.Close()
			<-c.ended
		}
	})
	return a
}

// join connects a client to a node and waits until it knows its id.
func (a *audience) join(addr string) *listener {
	a.t.Helper()
	c, err := a.tryJoin(addr)
	if err != nil {
		a.t.Fatalf("a client of %s: %v", addr, err)
	}
	return c
}

// tryJoin is join of a node that may be killed meanwhile.
func (a *audience) tryJoin(addr string) (*listener, error) {
	a.t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	if err := nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		nc.Close()
		return nil, err
	}
	in := bufio.NewReaderSize(nc, 512)
	line, err := in.ReadString('\n')
	if err != nil {
		nc.Close()
		return nil, err
	}
	id, err := node.ID(0), nc.SetReadDeadline(time.Time{})
	if err == nil {
		err = id.UnmarshalText([]byte(strings.TrimPrefix(strings.TrimSpace(line), a.greeting)))
	}
	if err != nil {
		a.t.Errorf("greeted with %q: %v", line, err)
		nc.Close()
		return nil, err
	}
	c := &listener{id: id, nc: nc, ended: make(chan struct{})}
	a.mu.Lock()
	if a.issued[id] {
		a.t.Errorf("id %s was issued twice", id)
	}
	a.issued[id], a.clients[id] = true, c
	a.mu.Unlock()
	go c.listen(in, &a.arrived)
	return c, nil
}

// joinMany connects count clients to a node and returns their ids: fewer if one
// cannot join.
func (a *audience) joinMany(addr string, count int) (ids []node.ID, err error) {
	a.t.Helper()
	for range count {
		c, err := a.tryJoin(addr)
		if err != nil {
			return ids, fmt.Errorf("a client of %s: %w", addr, err)
		}
		ids = append(ids, c.id)
	}
	return ids, nil
}

func (c *listener) listen(in *bufio.Reader, arrived *atomic.Int64) {
	defer close(c.ended)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			c.nc.Close()
			return
		}
		c.note(strings.TrimSuffix(line, "\n"))
		arrived.Add(1)
	}
}

func (c *listener) note(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text, ok := strings.CutPrefix(line, "text "); ok {
		c.texts = append(c.texts, text)
		return
	}
	m, err := decodeMessage([]byte(line))
	if err != nil {
		c.fault = err
		return
	}
	c.messages = append(c.messages, m)
}

// heard returns the texts that the client has received.
func (c *listener) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.texts...)
}

// received returns how many numbered messages and how many texts the client has
// received.
func (c *listener) received() (messages, texts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.messages), len(c.texts)
}

// isEnded reports whether the node has ended the connection.
func (c *listener) isEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// awaitEnd waits until every client of ids has been disconnected.
func (a *audience) awaitEnd(ids []node.ID) {
	a.t.Helper()
	late := time.After(patience)
	for _, c := range a.of(ids) {
		select {
		case <-c.ended:
		case <-late:
			a.t.Fatalf("waited %v for the end of %s", patience, c.id)
		}
	}
}

// of returns the clients with these ids.
func (a *audience) of(ids []node.ID) (clients []*listener) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		clients = append(clients, a.clients[id])
	}
	return clients
}

// forget lets go of clients that have been disconnected.
func (a *audience) forget(ids []node.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		delete(a.clients, id)
	}
}

// into puts what every client has received into a history, and reports damaged
// messages.
func (a *audience) into(h *history) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, c := range a.clients {
		c.mu.Lock()
		if c.fault != nil {
			a.t.Errorf("connection %s: %v", id, c.fault)
		}
		h.arrived[id] = append([]message(nil), c.messages...)
		h.ended[id] = c.isEnded()
		c.mu.Unlock()
	}
}
