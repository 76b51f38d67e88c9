package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"flamingo/idspace"
)

// SlowPolicy says what a send does to a connection whose output queue is full.
type SlowPolicy uint8

// The policies for slow clients.
const (
	SlowClose      SlowPolicy = iota // the connection ends, reason slow; the send answers ErrGone
	SlowDropNewest                   // the message is dropped and reported as undelivered; the send answers nil
	SlowFailSender                   // the message is refused with ErrBackpressure
)

var slowPolicyNames = []string{"close", "drop-newest", "fail-sender"}

// String returns the policy's name, as ParseSlowPolicy takes it.
func (p SlowPolicy) String() string {
	if int(p) < len(slowPolicyNames) {
		return slowPolicyNames[p]
	}
	return fmt.Sprintf("SlowPolicy(%d)", uint8(p))
}

// ParseSlowPolicy returns the policy of that name.
func ParseSlowPolicy(name string) (SlowPolicy, error) {
	for i, n := range slowPolicyNames {
		if n == name {
			return SlowPolicy(i), nil
		}
	}
	return 0, fmt.Errorf("%w: slow-client policy %q: allowed are close, drop-newest, fail-sender", ErrBadOption, name)
}

// Ignore says which events the program does not want. They are discarded as
// they arise and hold no slot.
type Ignore uint8

// The events that can be ignored; combine them with |.
const (
	IgnoreOpens Ignore = 1 << iota
	IgnoreCloses
)

// Defaults and bounds of Config.
const (
	DefaultQueueBytes   = 16 << 20 // about 220,000 messages of 28 bytes
	DefaultOutputBytes  = 1 << 20  // what a slow client may fall behind
	DefaultTotalOutput  = 1 << 30  // a thousand of those
	DefaultHalfClose    = 100 * time.Millisecond
	DefaultCloseTimeout = 5 * time.Second
	DefaultClosedMemory = 128 << 10 // some 6 MiB

	// MaxConnsLimit is the most connections one transport can hold: a quarter
	// of the serials of a node number, so that a fresh serial is always near.
	MaxConnsLimit = 1 << 24

	maxTimeout = 10000 * time.Hour // within the ticks of the wheel
)

// IDs issues the ids of new connections. Each call returns another one;
// a call may be made only to skip an id. An error pauses accepting.
type IDs interface {
	Next() (idspace.ID, error)
}

// Config holds the settings of a Transport.
type Config struct {
	// Listeners are where clients connect; at least one.
	Listeners []Listener

	// IDs issues the ids. Required.
	IDs IDs

	// Loops is the number of event loops. Zero means GOMAXPROCS, at most 4:
	// a loop is busy only under heavy traffic, and idle ones cost nothing.
	// At most 256.
	Loops int

	// Portable serves every connection by goroutines, as on systems without
	// epoll.
	Portable bool

	// Listen opens the socket of a Listener, of whose fields it heeds what it
	// can: so the network can be one in memory. It implies Portable, since event
	// loops need descriptors. Nil means the operating system's sockets.
	Listen func(ctx context.Context, l Listener) (net.Listener, error)

	// MaxConns bounds the connections held at once, those included whose end
	// was not taken. At the bound accepting pauses. Zero means what the limit
	// of open files leaves after a reserve, at most 1<<20; at most MaxConnsLimit.
	MaxConns int

	// ActivityTimeout ends a connection from which nothing was received and to
	// which nothing was sent for so long. Zero means never; else 1 ms to 10,000 h.
	ActivityTimeout time.Duration

	// QueueBytes bounds received messages that are not done with, 48 bytes for
	// each included. Reading pauses at the bound; what one read of each
	// loop completes may exceed it. Zero means DefaultQueueBytes; else at least 64 KiB.
	QueueBytes int64

	// OutputBytes bounds what one connection was sent and has not taken. A
	// message that finds the queue empty is always accepted. Zero means
	// DefaultOutputBytes; else 1 to 1 GiB.
	OutputBytes int

	// TotalOutputBytes bounds what all connections were sent and have not taken,
	// counted in whole KiB of each, and a Broadcast that they share once. Above it
	// the connection with the most of it ends, reason slow, and so on until the
	// rest is within the bound; of two with as much the older one is first. Zero
	// means DefaultTotalOutput; else at least 1 MiB.
	TotalOutputBytes int64

	// Ended is told of the end of each connection with a Tie, when its id is gone
	// for good and before the end is reported, on the goroutine that serves it. It
	// must not block. Nil: nobody is told.
	Ended func(idspace.ID)

	// Relieved is told of each connection that Press has reported as full when it
	// takes messages again or ends, on the goroutine that serves it or one that
	// takes a message back. It must not block. Nil: nobody is told.
	Relieved func(idspace.ID)

	// Slow says what a send does when OutputBytes is reached.
	Slow SlowPolicy

	// HalfClose is how long a client that ended its input may wait for an
	// answer to its last message. Zero means DefaultHalfClose; at most 1 h.
	HalfClose time.Duration

	// CloseTimeout bounds the writing of what is queued for a connection that
	// ends, and then the wait for the client to end too. Zero means
	// DefaultCloseTimeout; at most 1 h.
	CloseTimeout time.Duration

	// Ignore says which events are discarded.
	Ignore Ignore

	// ClosedMemory bounds the ended connections of which is remembered when and
	// why they ended, about 48 bytes each; the oldest is forgotten. Zero means
	// DefaultClosedMemory; at most MaxConnsLimit.
	ClosedMemory int

	// Over is told of the end of each connection that was open, as Ended is, and
	// why. It must not block. Nil: nobody is told.
	Over func(id idspace.ID, why Reason)

	// Logger receives what an operator should see. Nil means slog.Default().
	Logger *slog.Logger
}

func (c *Config) validate() error {
	var faults []error
	bad := func(option string, value any, allowed string) {
		faults = append(faults, fmt.Errorf("%w: %s %v: allowed is %s", ErrBadOption, option, value, allowed))
	}
	if len(c.Listeners) == 0 {
		bad("Listeners", "(none)", "at least one")
	}
	for i := range c.Listeners {
		if err := c.Listeners[i].validate(); err != nil {
			faults = append(faults, fmt.Errorf("listener %d: %w", i, err))
		}
	}
	if c.IDs == nil {
		bad("IDs", "(nil)", "a source of ids")
	}
	if c.Loops < 0 || c.Loops > 256 {
		bad("Loops", c.Loops, "0 to 256")
	}
	if c.MaxConns < 0 || c.MaxConns > MaxConnsLimit {
		bad("MaxConns", c.MaxConns, fmt.Sprintf("0 to %d", MaxConnsLimit))
	}
	if c.ActivityTimeout != 0 && (c.ActivityTimeout < time.Millisecond || c.ActivityTimeout > maxTimeout) {
		bad("ActivityTimeout", c.ActivityTimeout, "0 (never) or 1ms to 10000h")
	}
	if c.QueueBytes != 0 && c.QueueBytes < 64<<10 {
		bad("QueueBytes", c.QueueBytes, "0 or at least 65536")
	}
	if c.OutputBytes < 0 || c.OutputBytes > 1<<30 {
		bad("OutputBytes", c.OutputBytes, "0 to 1073741824")
	}
	if c.TotalOutputBytes != 0 && c.TotalOutputBytes < 1<<20 {
		bad("TotalOutputBytes", c.TotalOutputBytes, "0 or at least 1048576")
	}
	if int(c.Slow) >= len(slowPolicyNames) {
		bad("Slow", c.Slow, "close, drop-newest, fail-sender")
	}
	if c.HalfClose < 0 || c.HalfClose > time.Hour {
		bad("HalfClose", c.HalfClose, "0 to 1h")
	}
	if c.CloseTimeout < 0 || c.CloseTimeout > time.Hour {
		bad("CloseTimeout", c.CloseTimeout, "0 to 1h")
	}
	if c.ClosedMemory < 0 || c.ClosedMemory > MaxConnsLimit {
		bad("ClosedMemory", c.ClosedMemory, fmt.Sprintf("0 to %d", MaxConnsLimit))
	}
	if c.Ignore&^(IgnoreOpens|IgnoreCloses) != 0 {
		bad("Ignore", uint8(c.Ignore), "IgnoreOpens, IgnoreCloses or both")
	}
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	if c.Loops == 0 {
		c.Loops = min(runtime.GOMAXPROCS(0), 4)
	}
	if c.MaxConns == 0 {
		c.MaxConns = defaultMaxConns()
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = DefaultQueueBytes
	}
	if c.OutputBytes == 0 {
		c.OutputBytes = DefaultOutputBytes
	}
	if c.Over == nil {
		c.Over = func(idspace.ID, Reason) {}
	}
	if c.Relieved == nil {
		c.Relieved = func(idspace.ID) {}
	}
	if c.Ended == nil {
		c.Ended = func(idspace.ID) {}
	}
	if c.TotalOutputBytes == 0 {
		c.TotalOutputBytes = DefaultTotalOutput
	}
	if c.HalfClose == 0 {
		c.HalfClose = DefaultHalfClose
	}
	if c.ClosedMemory == 0 {
		c.ClosedMemory = DefaultClosedMemory
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = DefaultCloseTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Listen == nil {
		c.Listen = bind
	} else {
		c.Portable = true
	}
	c.Listeners = append([]Listener(nil), c.Listeners...)
	for i := range c.Listeners {
		c.Listeners[i] = c.Listeners[i].withDefaults()
		if c.Listeners[i].IdleTimeout == 0 {
			c.Listeners[i].IdleTimeout = c.ActivityTimeout
		}
	}
	return c
}

// filesReserve is how many open files stay free for whatever else the program
// opens when MaxConns is taken from the limit of open files.
const filesReserve = 256

// defaultMaxConns is what the limit of open files allows, within reason.
func defaultMaxConns() int {
	const most = 1 << 20
	files, ok := openFilesLimit()
	switch {
	case !ok:
		return 1 << 16
	case files > most+filesReserve:
		return most
	case files > 2*filesReserve:
		return int(files) - filesReserve
	default:
		return max(int(files)/2, 1)
	}
}
