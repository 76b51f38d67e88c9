package transport

import (
	"context"
	"time"
	"unsafe"

	"flamingo/idspace"
)

// This file opens what the tests of package transport_test need of the inside.

// DropGuard makes t believe its index alone: the id in a slot is not compared.
// It is the negative control of the tests of that guard.
func (t *Transport) DropGuard() { t.table.unguarded = true }

// SlotsInUse returns how many slots are not free.
func (t *Transport) SlotsInUse() int { return int(t.table.live.Load()) }

// A Wheel is a wheel with slots of its own.
type Wheel struct {
	wheel
	links []wheelLink
}

// WheelBuckets is how many ticks a wheel looks ahead.
const WheelBuckets = wheelBuckets

func NewWheel(slots int) *Wheel {
	w := &Wheel{links: make([]wheelLink, slots)}
	w.link = func(i uint32) *wheelLink { return &w.links[i] }
	return w
}

func (w *Wheel) Set(i, due uint32)                         { w.set(i, due) }
func (w *Wheel) Clear(i uint32)                            { w.clear(i) }
func (w *Wheel) Advance(now uint32, expire func(i uint32)) { w.advance(now, expire) }
func (w *Wheel) Next() (tick uint32, ok bool)              { return w.next() }
func (w *Wheel) Now() uint32                               { return w.now }
func (w *Wheel) Count() int                                { return w.count }

// A Table is a table whose slots end at once.
type Table struct{ t *table }

func NewTable(limit int) Table { return Table{newTable(limit)} }

func (t Table) Take() (i uint32, ok bool)            { return t.t.take() }
func (t Table) Publish(i uint32, id idspace.ID) bool { return t.t.publish(i, id) }
func (t Table) Positions() int                       { return len(t.t.index) }
func (t Table) Full() bool                           { return t.t.full() }
func (t Table) Find(id idspace.ID) (i uint32, ok bool) {
	s, i := t.t.find(id)
	return i, s != nil
}

// Retire ends the connection in slot i and frees it.
func (t Table) Retire(i uint32) bool {
	s := t.t.at(i)
	s.mu.Lock()
	s.flags.Store(flagEnded)
	freed := t.t.retireLocked(s, i)
	s.mu.Unlock()
	if freed {
		t.t.put(i)
	}
	return freed
}

// HoldRetire ends the connection in slot i while something holds the slot, and
// reports whether that freed it.
func (t Table) HoldRetire(i uint32) (freed bool) {
	s := t.t.at(i)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, hold := range []slotFlag{holdSocket, holdOpen, holdClose, holdDirty, holdReady} {
		s.flags.Store(flagEnded | hold)
		freed = freed || t.t.retireLocked(s, i)
	}
	s.flags.Store(flagEnded)
	s.queued.Store(1)
	freed = freed || t.t.retireLocked(s, i)
	s.queued.Store(0)
	s.flags.Store(0)
	return freed
}

// An Inbox is an inbox that counts how often it had room again.
type Inbox struct {
	q     *inbox
	Rooms int
}

const MessageOverhead = messageOverhead

func NewInbox(limit int64) *Inbox {
	b := new(Inbox)
	b.q = newInbox(limit, newBell(), func() { b.Rooms++ })
	return b
}

// Put puts in a batch, each run of one id at once.
func (b *Inbox) Put(batch []Message) bool {
	for n := 0; len(batch) > 0; batch, n = batch[n:], 0 {
		var block []byte
		var sizes []uint32
		for ; n < len(batch) && batch[n].ID == batch[0].ID; n++ {
			block = append(block, batch[n].Data...)
			sizes = append(sizes, uint32(len(batch[n].Data)))
		}
		if !b.q.put(batch[0].ID, batch[0].slot, KindDefault, block, sizes) {
			return false
		}
	}
	return true
}

// PutRun puts in messages of one connection.
func (b *Inbox) PutRun(id idspace.ID, block []byte, sizes []uint32) bool {
	return b.q.put(id, 0, KindDefault, block, sizes)
}

func (b *Inbox) Take(into []Message) int        { return b.q.take(into) }
func (b *Inbox) TryTake(into []Message) int     { return b.q.tryTake(into) }
func (b *Inbox) Forget(m *Message)              { b.q.forget(m.Cost()) }
func (b *Inbox) Cost() int64                    { return b.q.cost.Load() }
func (b *Inbox) Len() int                       { return b.q.len() }
func (b *Inbox) HasRoom() bool                  { return b.q.hasRoom() }
func (b *Inbox) Starve() bool                   { return b.q.starve() }
func (b *Inbox) Close()                         { b.q.close() }
func (b *Inbox) Await(ctx context.Context) bool { return b.q.await(ctx) }

func (b *Inbox) Bell() Bell { return Bell{b.q.bell} }

// A Bell is what a queue rings.
type Bell struct{ b *bell }

func (b Bell) Wait(stop func() bool) { b.b.wait(stop) }

// A Chain is a chain with links of its own.
type Chain struct{ *chain }

func NewChain(slots int) Chain {
	links := make([]uint32, slots)
	return Chain{newChain(newBell(), func(i uint32) *uint32 { return &links[i] })}
}

func (c Chain) Put(i uint32) bool              { return c.put(i) }
func (c Chain) Take() (uint32, bool)           { return c.take() }
func (c Chain) TryTake() (uint32, bool)        { return c.tryTake() }
func (c Chain) Await(ctx context.Context) bool { return c.await(ctx) }
func (c Chain) Close()                         { c.close() }
func (c Chain) Len() int                       { return c.len() }
func (c Chain) Bell() Bell                     { return Bell{c.bell} }

// A Losses is the queue of notices.
type Losses struct{ q *losses }

const LossesLimit = lossesLimit

func NewLosses() Losses { return Losses{newLosses()} }
func (l Losses) Add(id idspace.ID, gone, uncertain, full int) {
	l.q.add(id, loss{gone: gone, uncertain: uncertain, full: full}, ErrGone)
}
func (l Losses) Take() (Undelivered, bool) { return l.q.take() }
func (l Losses) Close()                    { l.q.close() }

// Counts returns what the queue counts, among other Stats.
func (l Losses) Counts() (st Stats) {
	l.q.counts(&st)
	return st
}

// An Output is an output with the driver's moves.
type Output struct{ o output }

// A Queued is a message in an Output that somebody may wait for.
type Queued struct{ c *chunk }

// Append adds a message as SendData does.
func (o *Output) Append(msg []byte) {
	c, fresh := o.o.room(len(msg))
	c.data = append(c.data, msg...)
	c.ends = append(c.ends, uint32(len(c.data)))
	if fresh {
		o.o.push(c)
	}
}

// Push adds a message in a chunk of its own: as Send does if somebody waits, as
// SendMany does otherwise.
func (o *Output) Push(msg []byte, waits bool) Queued {
	c := &chunk{data: msg, ends: []uint32{uint32(len(msg))}, sealed: true}
	if waits {
		c.ticket = &ticket{done: make(chan error, 1)}
	}
	o.o.push(c)
	return Queued{c}
}

// Told returns the outcome that the waiting sender was told, if any.
func (q Queued) Told() (outcome error, ok bool) {
	select {
	case outcome = <-q.c.ticket.done:
		return outcome, true
	default:
		return nil, false
	}
}

func (o *Output) Withdraw(q Queued) bool { return o.o.withdraw(q.c) }
func (o *Output) TakeWaiting()           { o.o.takeLocked() }
func (o *Output) PutBack()               { o.o.putBackLocked() }
func (o *Output) Idle() bool             { return o.o.idleLocked() }

// Write takes up to n bytes from what is being written, as a socket does.
func (o *Output) Write(n int) (data []byte, messages int) {
	skip := o.o.written
	for c := o.o.writing; c != nil && len(data) < n; c = c.next {
		rest := c.data[skip:]
		data = append(data, rest[:min(len(rest), n-len(data))]...)
		skip = 0
	}
	messages, _ = o.o.wrote(len(data))
	tellWritten(o.o.takeSettled())
	return data, messages
}

func (o *Output) Drop() (gone, uncertain, written int) {
	l, written := o.o.dropLocked()
	return l.gone, l.uncertain, written
}

// WasReset is what a reader asks at the end of its input.
var WasReset = wasReset

// SlotBytes is what a connection costs in the table.
const SlotBytes = unsafe.Sizeof(slot{}) + unsafe.Sizeof(slotBuffers{})

// ProxyHeaderSize is the length of the PROXY header that data begins with.
func ProxyHeaderSize(data []byte) (int, error) { return proxyHeaderSize(data) }

// LooksProxied reports whether data may become the beginning of one.
func LooksProxied(data []byte) bool { return looksProxied(data) }

// Held counts what the transport holds of connections: slots, wires, and
// addresses at its listeners.
func (t *Transport) Held() (slots, wires, addresses int) {
	for i := range t.table.slots() {
		s := t.table.at(i)
		s.mu.Lock()
		if t.table.wire(i) != nil {
			wires++
		}
		s.mu.Unlock()
	}
	for _, b := range t.bound {
		addresses += b.addresses.len()
	}
	return int(t.table.live.Load()), wires, addresses
}

// A Bucket is a bucket, full to begin with.
type Bucket struct{ b bucket }

func NewBucket(now time.Duration) *Bucket {
	b := new(Bucket)
	b.b.fill(now)
	return b
}

func (b *Bucket) Take(now time.Duration, n, rate int)                { b.b.take(now, n, rate) }
func (b *Bucket) Tokens(now time.Duration, rate int) int             { return b.b.tokens(now, rate) }
func (b *Bucket) Wait(now time.Duration, rate int) (d time.Duration) { return b.b.wait(now, rate) }

// TakeTurns takes every turn to compute a handshake until giveBack.
func TakeTurns(t *Transport) (giveBack func()) {
	p := t.handshakes
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.free
	p.free = 0
	return func() {
		for range n {
			p.release()
		}
	}
}

// Seal notes that so many bytes behind those that are written are encrypted, and
// that so many of them have begun to be written.
func (o *Output) Seal(bytes, begun int) { o.o.sealed, o.o.begun = bytes, begun }

// Unwritten is how many bytes are encrypted for a connection and not written,
// those left out that a system call is about.
func Unwritten(t *Transport, id idspace.ID) int {
	s, i := t.table.find(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.sessionOf(i).unwritten()
}

// InputEnded reports whether a connection in its handshake has ended its input.
func InputEnded(t *Transport) bool {
	for i := range t.table.slots() {
		s := t.table.at(i)
		s.mu.Lock()
		se := t.sessionOf(i)
		s.mu.Unlock()
		if se == nil {
			continue
		}
		se.mu.Lock()
		ended := se.ended
		se.mu.Unlock()
		if ended {
			return true
		}
	}
	return false
}

// ReceiveDuringEnd has connection id receive data after somebody has decided that
// it ends, as a reader that had begun before. While the connection opens, it is
// the first one that does so whatever id says. It returns how many messages went
// into the inbox.
func ReceiveDuringEnd(t *Transport, id idspace.ID, data []byte) (messages int) {
	s, i := t.table.find(id)
	for n := uint32(0); s == nil; n++ {
		if o := t.table.at(n); o.has(flagOpening) {
			s, i = o, n
		}
	}
	s.mu.Lock()
	t.condemnLocked(s, ReasonShutdown)
	t.byeLocked(s, i)
	s.mu.Unlock()
	messages, _ = (&intake{t: t}).receive(s, i, data)
	t.attendSoon(s, i)
	return messages
}

// HasEnded reports whether the client of a connection has ended its input.
func HasEnded(t *Transport, id idspace.ID) bool {
	s, _ := t.table.find(id)
	return s.has(flagEOF)
}

// StuckSince is the tick since which output of a connection with a WriteTimeout
// waits and nothing of it was taken, or 0.
func StuckSince(t *Transport, id idspace.ID) uint32 {
	s, i := t.table.find(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.meter(i).stuck
}

// HoldShedder makes others leave shedding to the caller, who is to do so with
// shed. asked reports whether one wanted to.
func HoldShedder(t *Transport) (asked func() bool, shed func()) {
	t.shedder.mu.Lock()
	return t.shedder.asked.Load, func() { t.shedder.mu.Unlock(); t.shedAsAsked() }
}

// Tick is the tick of this moment.
func Tick(t *Transport) uint32 { return t.tick() }

// A Pace is a pace.
type Pace struct{ pace }

func NewPace(begin time.Time, over time.Duration) *Pace {
	return &Pace{pace{last: begin, end: begin.Add(over)}}
}

func (p *Pace) Due(now time.Time, left int) int { return p.due(now, left) }
func (p *Pace) Took(n int)                      { p.owed -= float64(n) }

// Closings is the memory of ends.
type Closings struct{ c *closings }

func NewClosings(limit int) Closings { return Closings{newClosings(limit)} }
func (c Closings) Add(id idspace.ID, at int64, why Reason) {
	c.c.add(closing{id: id, at: at, reason: why})
}
func (c Closings) SetCode(id idspace.ID, code uint16) { c.c.setCode(id, code) }
func (c Closings) Counts() (int, uint64)              { return c.c.counts() }
func (c Closings) Find(id idspace.ID) (at int64, why Reason, code uint16, ok bool) {
	e, ok := c.c.find(id)
	return e.at, e.reason, e.code, ok
}
