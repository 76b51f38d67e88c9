package gossip

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxLost bounds the addresses of lost members that are tried again; the one
// lost longest ago is forgotten first. Seeds are tried beside them.
const maxLost = 256

// lost are the addresses at which members were lost without having said that
// they were about to leave.
type lost struct {
	forgotten atomic.Uint64

	mu     sync.Mutex
	since  map[netip.AddrPort]time.Time
	kicked chan struct{} // a token after each add; never closed
}

func newLost() *lost {
	return &lost{since: make(map[netip.AddrPort]time.Time), kicked: make(chan struct{}, 1)}
}

func (l *lost) add(addr netip.AddrPort, now time.Time) {
	l.mu.Lock()
	l.since[addr] = now
	if len(l.since) > maxLost {
		oldest := addr
		for a, t := range l.since {
			if t.Before(l.since[oldest]) {
				oldest = a
			}
		}
		delete(l.since, oldest)
		l.forgotten.Add(1)
	}
	l.mu.Unlock()
	select {
	case l.kicked <- struct{}{}:
	default:
	}
}

func (l *lost) remove(addr netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.since, addr)
}

func (l *lost) addrs() []netip.AddrPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.since))
}
