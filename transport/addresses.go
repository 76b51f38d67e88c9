package transport

import (
	"net"
	"net/netip"
	"sync"
)

// This file counts the connections of each client address, for
// Limits.MaxConnsPerAddress.

// An addressBook counts the connections of each address.
type addressBook struct {
	mu     sync.Mutex
	counts map[netip.Addr]int // guarded by mu; nil while there is none
}

// enter counts one more connection, unless that are more than most.
func (b *addressBook) enter(a netip.Addr, most int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts[a] >= most {
		return false
	}
	if b.counts == nil {
		b.counts = make(map[netip.Addr]int)
	}
	b.counts[a]++
	return true
}

func (b *addressBook) leave(a netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts[a]--; b.counts[a] <= 0 {
		delete(b.counts, a)
	}
	if len(b.counts) == 0 {
		b.counts = nil // a map keeps the memory of a flood otherwise
	}
}

func (b *addressBook) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.counts)
}

// bookAddress is what an address counts as: a client has a network of 64 bits
// in IPv6.
func bookAddress(a net.Addr) (netip.Addr, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		p, err := addr.Prefix(64)
		return p.Addr(), err == nil
	}
	return addr, addr.IsValid()
}

// enterLocked counts the connection at its listener, once its client's address
// is known. It reports false, and condemns the connection, if there are too many
// of that address. The caller holds the slot's mu.
func (t *Transport) enterLocked(s *slot, i uint32, w *wire) bool {
	l := t.bound[s.listener]
	if l.MaxConnsPerAddress == 0 || w.meter.address.IsValid() {
		return true
	}
	_, remote := t.addrsLocked(s, i)
	a, ok := bookAddress(remote)
	if !ok {
		return true
	}
	if !l.addresses.enter(a, l.MaxConnsPerAddress) {
		t.totals.addressRefused.Add(1)
		t.condemnLocked(s, ReasonRefused)
		s.flags.Or(flagAbort) // at once: whoever has many gets no time on top
		return false
	}
	w.meter.address = a
	return true
}

// leaveLocked takes what is left of the connection's wire away, and its place at
// its listener. The driver calls it, with the slot's mu held, when it gives the
// socket up.
func (t *Transport) leaveLocked(s *slot, i uint32) {
	if m := t.meter(i); m != nil && m.address.IsValid() {
		t.bound[s.listener].addresses.leave(m.address)
	}
	t.table.setWireLocked(i, nil)
}

// remains is what a connection needs of its wire once it has ended and its
// socket is not closed.
func (w *wire) remains() *wire {
	if w == nil || w.meter == nil || !w.meter.address.IsValid() {
		return nil
	}
	return &wire{meter: &meter{address: w.meter.address}}
}
