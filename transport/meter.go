package transport

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// A meter is what the limits of a listener need to know of one connection.
type meter struct {
	address netip.Addr // guarded by the slot's mu: what it counts for at its listener, if valid

	// Ticks, guarded by the slot's mu; 0: none.
	opened uint32 // when the wait for the first message began
	until  uint32 // when its lifetime is over
	stuck  uint32 // since when output waits and nothing of it was taken
	resume uint32 // when it may be read again

	messages, bytes bucket // owned by the reader
}

// meter returns the meter of connection i, or nil. It is for whom table.wire is.
func (t *Transport) meter(i uint32) *meter {
	if w := t.table.wire(i); w != nil {
		return w.meter
	}
	return nil
}

// begin starts the times of a connection that is open.
func (m *meter) begin(t *Transport, l *Limits) {
	m.opened = t.tick()
	if l.MaxLifetime > 0 {
		m.until = m.opened + ticks(l.MaxLifetime-rand.N(l.LifetimeSpread+1)) + 1
	}
	now := time.Since(t.start)
	m.messages.fill(now)
	m.bytes.fill(now)
}

// A bucket has the tokens of one second at most; their rate is its listener's.
// What is taken at once may be more than there is: then it has none for longer.
type bucket struct {
	empty time.Duration // since the transport's start: when it had, or will have, no token
}

func (b *bucket) fill(now time.Duration) { b.empty = now - time.Second }

func (b *bucket) take(now time.Duration, n, rate int) {
	b.empty = max(b.empty, now-time.Second) + time.Duration(n)*time.Second/time.Duration(rate)
}

// tokens returns how many there are. Without a rate there is no end of them.
func (b *bucket) tokens(now time.Duration, rate int) int {
	if rate == 0 {
		return math.MaxInt
	}
	return int(min(now-b.empty, time.Second) * time.Duration(rate) / time.Second)
}

// wait returns how long it takes until there is a token.
func (b *bucket) wait(now time.Duration, rate int) time.Duration {
	if rate == 0 {
		return 0
	}
	one := (time.Second + time.Duration(rate) - 1) / time.Duration(rate)
	return max(b.empty+one-now, 0)
}

// A quota is how much a connection may bring now.
type quota struct{ messages, bytes int }

// quota returns what connection i may bring. It is for the reader.
func (t *Transport) quota(s *slot, i uint32) quota {
	l := t.bound[s.listener]
	if !l.rated() {
		return quota{math.MaxInt, math.MaxInt}
	}
	m, now := t.meter(i), time.Since(t.start)
	return quota{m.messages.tokens(now, l.MessagesPerSecond), m.bytes.tokens(now, l.BytesPerSecond)}
}

// charge takes the tokens for what connection i has brought. Without any left,
// or with held, the connection is not read until there are some again: the
// driver, which finds flagThrottled, gives it that deadline.
func (t *Transport) charge(s *slot, i uint32, messages, bytes int, held bool) {
	l := t.bound[s.listener]
	if !l.rated() {
		return
	}
	m, now := t.meter(i), time.Since(t.start)
	if l.MessagesPerSecond > 0 {
		m.messages.take(now, messages, l.MessagesPerSecond)
	}
	if l.BytesPerSecond > 0 {
		m.bytes.take(now, bytes, l.BytesPerSecond)
	}
	wait := max(m.messages.wait(now, l.MessagesPerSecond), m.bytes.wait(now, l.BytesPerSecond))
	if wait == 0 && !held {
		return
	}
	s.mu.Lock()
	m.resume = t.tick() + ticks(min(wait, maxTimeout)) + 1
	s.mu.Unlock()
	if !s.has(flagThrottled) {
		s.flags.Or(flagThrottled)
		t.totals.throttled.Add(1)
	}
}

// stallLocked notes whether output waits of which the kernel takes nothing,
// after an attempt of which it took so many bytes. It reports whether that begins:
// the connection has a new deadline. The caller holds the slot's mu.
func (t *Transport) stallLocked(s *slot, i uint32, waits bool, taken int) (begins bool) {
	if t.bound[s.listener].WriteTimeout == 0 {
		return false
	}
	m := t.meter(i)
	switch {
	case m == nil:
	case !waits:
		m.stuck = 0
	case taken > 0 || m.stuck == 0:
		begins = m.stuck == 0
		m.stuck = t.tick()
	}
	return begins
}
