package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// MinSize is the shortest line, its end included, in bytes: the number of
	// the connection, the index and the line feed.
	MinSize = connDigits + indexDigits + 1

	// MaxSize is the longest line, in bytes: the default limit of a message.
	MaxSize = 1 << 20

	// MaxConns is the most connections: as many as the number in a line tells
	// apart.
	MaxConns = 1_000_000

	// MaxOutstanding is the most lines under way on a connection: a power of
	// two of which twice as many fit into the index of a line.
	MaxOutstanding = 4096

	// MaxSources is the most source addresses, 127.0.0.1 and those after it.
	MaxSources = 250
)

// drainTime is how long replies may come after the end of a measurement. What
// has not come by then is lost.
const drainTime = 2 * time.Second

// Target is the server under load.
type Target struct {
	// Addr is the server's TCP address, HOST:PORT.
	Addr string

	// Greeting is how the first line of a connection may begin that is no
	// reply; it is passed over. Empty means that there is none.
	Greeting string

	// Pid is the process of the server, for what it uses. Zero means that
	// nothing is said about it.
	Pid int
}

func (t *Target) validate() error {
	if t.Pid < 0 {
		return badField("pid", t.Pid, "of a process")
	}
	return nil
}

// Times say how long a measurement takes.
type Times struct {
	// WarmUp is the load before the measurement. Not negative.
	WarmUp time.Duration

	// Duration is the measurement: at least 1 ms.
	Duration time.Duration

	// Rate is how many are begun in a second, in all, at even intervals,
	// whatever becomes of those before. Latencies then count from when one was
	// due (which corrects for coordinated omission). Zero means that each
	// begins when one before it is done.
	Rate float64
}

func (t *Times) validate() error {
	var faults []error
	if t.WarmUp < 0 {
		faults = append(faults, badField("warm-up", t.WarmUp, "not negative"))
	}
	if t.Duration < time.Millisecond {
		faults = append(faults, badField("duration", t.Duration, "1ms or more"))
	}
	if t.Rate < 0 || t.Rate > 1e9 {
		faults = append(faults, badField("rate", t.Rate, "0 to 1e9"))
	}
	return errors.Join(faults...)
}

// Echo is a load of connections that stay.
type Echo struct {
	Target
	Times

	Conns       int // connections: 1 to MaxConns
	Outstanding int // lines under way on each, at most: 1 to MaxOutstanding
	Size        int // bytes of a line: MinSize to MaxSize
}

func (e *Echo) validate() error {
	return errors.Join(e.Target.validate(), e.Times.validate(),
		within("conns", e.Conns, 1, MaxConns),
		within("outstanding", e.Outstanding, 1, MaxOutstanding),
		within("size", e.Size, MinSize, MaxSize))
}

// Connect is a load of lives: connect, one line, its reply, close.
type Connect struct {
	Target
	Times

	Conns   int // lives at the same time, at most: 1 to MaxConns
	Sources int // addresses to connect from, in turn, if the server is on loopback: 1 to MaxSources
	Size    int // bytes of the line: MinSize to MaxSize
}

func (c *Connect) validate() error {
	return errors.Join(c.Target.validate(), c.Times.validate(),
		within("conns", c.Conns, 1, MaxConns),
		within("sources", c.Sources, 1, MaxSources),
		within("size", c.Size, MinSize, MaxSize))
}

// Idle is a load of connections that do nothing. Of a connection that is open
// the socket alone is held, so that there is room for many: what the server
// sends from then on is thrown away, and a ping of WebSocket is not answered.
type Idle struct {
	Target

	// Scheme is what is spoken: tcp, tls, ws or wss. Empty means tcp.
	Scheme string

	// Path is that of the request which opens a WebSocket. Empty means /.
	Path string

	// TLS says whose certificates are believed. Nil means those that the system
	// believes, for the host of Addr.
	TLS *tls.Config

	// Steps are the numbers of connections to reach, ascending.
	Steps []int

	// Echo has one line echoed on each connection when it is open.
	Echo bool

	// Reset ends the connections with a reset, which leaves nothing of them in
	// the kernel; otherwise they are closed.
	Reset bool

	// Reached, if not nil, is called after each step. Run goes on when it has
	// returned, and ends with its error.
	Reached func(Step) error
}

// schemes are those of Idle.
var schemes = []string{"tcp", "tls", "ws", "wss"}

func (l *Idle) validate() error {
	faults := []error{l.Target.validate()}
	if l.Scheme != "" && !slices.Contains(schemes, l.Scheme) {
		faults = append(faults, badField("scheme", l.Scheme, "one of "+strings.Join(schemes, ", ")))
	}
	last := 0
	for _, n := range l.Steps {
		if n <= last {
			faults = append(faults, badField("steps", l.Steps, "ascending numbers above 0"))
			break
		}
		last = n
	}
	return errors.Join(append(faults, within("steps", last, 1, MaxConns))...)
}

func within(field string, n, from, to int) error {
	if n < from || n > to {
		return badField(field, n, fmt.Sprintf("%d to %d", from, to))
	}
	return nil
}

// badField is a fault of a config.
func badField(field string, got any, want string) error {
	return fmt.Errorf("%w: %s: %v; want %s", ErrConfig, field, got, want)
}
