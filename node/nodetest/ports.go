// Package nodetest finds ports for tests that open nodes on loopback, and is a
// client of their WebSockets.
//
// A test that lets the system choose a port and then closes it may find it
// taken when its node opens, or comes back: the system gives the same ports to
// everybody. Those of this package lie below the ones that systems choose
// themselves (from 32768 on Linux, 49152 elsewhere), and no two tests are given
// the same: neither in one process, nor in two that run at the same time.
//
// It is for tests alone, and opens no node.
package nodetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// A process takes one of ten stripes of ports, of which it holds the first open
// until it ends, so that no other process takes it. If all are taken it shares
// one.
const (
	firstPort = 10000
	stripe    = 1000 // ports
	stripes   = 10
)

var ports = sync.OnceValue(func() *pool {
	order := rand.Perm(stripes)
	for _, k := range order {
		if ln, err := net.Listen("tcp", loopback(firstPort+k*stripe)); err == nil {
			return &pool{first: firstPort + k*stripe + 1, taken: make(map[int]bool), mark: ln}
		}
	}
	return &pool{first: firstPort + order[0]*stripe + 1, taken: make(map[int]bool)}
})

// A pool is the ports of one process.
type pool struct {
	first int
	mark  net.Listener // nil if the stripe is shared; never closed

	mu    sync.Mutex
	taken map[int]bool // guarded by mu
}

// FreeAddrs returns n addresses on loopback whose TCP and UDP ports nobody
// uses. No other test is given them before t ends.
func FreeAddrs(t testing.TB, n int) (addrs []string) {
	t.Helper()
	for range n {
		port, release, err := FreePorts(0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		addrs = append(addrs, loopback(port))
	}
	return addrs
}

// FreePorts returns a port such that nobody uses it with any of the offsets
// added, on loopback, be it for TCP or for UDP. An offset is from 0 to 998.
// Nobody else is given one of these ports before release is called.
func FreePorts(offsets ...int) (port int, release func(), err error) {
	p := ports()
	most := 0
	for _, o := range offsets {
		most = max(most, o)
	}
	if most > stripe-2 {
		return 0, nil, fmt.Errorf("offset %d: want 0 to %d", most, stripe-2)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range rand.Perm(stripe - 1 - most) {
		if port := p.first + k; p.areFreeLocked(port, offsets) {
			p.markLocked(port, offsets, true)
			return port, func() { p.release(port, offsets) }, nil
		}
	}
	return 0, nil, errors.New("no free ports")
}

func (p *pool) areFreeLocked(port int, offsets []int) bool {
	for _, o := range offsets {
		if p.taken[port+o] || !isFree(port+o) {
			return false
		}
	}
	return true
}

func (p *pool) markLocked(port int, offsets []int, taken bool) {
	for _, o := range offsets {
		p.taken[port+o] = taken
	}
}

func (p *pool) release(port int, offsets []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.markLocked(port, offsets, false)
}

func isFree(port int) bool {
	ln, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	defer ln.Close()
	pc, err := net.ListenPacket("udp", loopback(port))
	if err != nil {
		return false
	}
	return pc.Close() == nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
