package transport

import (
	"fmt"
	"time"
)

// Limits are what a listener grants each client. The zero value limits nothing.
type Limits struct {
	// MaxConnsPerAddress bounds the connections of one client address, or of one
	// network of 64 bits in IPv6, as the proxy gave it where there is one. One
	// more is refused. Zero means no bound; not for clients without an address,
	// those of a Unix socket.
	MaxConnsPerAddress int

	// AcceptRate is how many connections a second are accepted, and how many at
	// once after a pause. The rest waits in the kernel's queue. Zero means no
	// bound; at most 1,000,000.
	AcceptRate int

	// FirstMessageTimeout ends a connection, reason timeout, whose first message
	// is not complete so long after it was open. Zero means never.
	FirstMessageTimeout time.Duration

	// IdleTimeout stands in place of Config.ActivityTimeout. Zero means that
	// one; negative never.
	IdleTimeout time.Duration

	// WriteTimeout ends a connection, reason slow, of whose waiting output the
	// kernel took nothing for so long. The portable driver counts what the
	// kernel takes in steps of 16 KiB. Zero means never.
	WriteTimeout time.Duration

	// MaxLifetime ends a connection, reason lifetime, so long after it was open,
	// less a random share of LifetimeSpread, so that clients that came together
	// do not come back together. Zero means never.
	MaxLifetime, LifetimeSpread time.Duration

	// MessagesPerSecond and BytesPerSecond bound what a connection brings, in
	// messages and their bytes, on the average of any time and one second's
	// worth. A message counts when it is complete. Over the bound the connection
	// is not read for a while, nor is the end of its input seen. Zero means no
	// bound; at most 1<<30.
	MessagesPerSecond, BytesPerSecond int
}

// maxAcceptRate bounds Limits.AcceptRate: more than any system accepts.
const maxAcceptRate = 1_000_000

// maxRate bounds the rates of a connection.
const maxRate = 1 << 30

// limitOptions are the query parameters of ParseListener for Limits.
var limitOptions = []string{
	"max-conns-per-address", "accept-rate", "first-message-timeout", "idle-timeout", "write-timeout", "max-lifetime",
	"lifetime-spread", "messages-per-second", "bytes-per-second",
}

func (o *optionReader) limits() Limits {
	return Limits{
		MaxConnsPerAddress:  o.integer("max-conns-per-address"),
		AcceptRate:          o.integer("accept-rate"),
		FirstMessageTimeout: o.duration("first-message-timeout"),
		IdleTimeout:         o.duration("idle-timeout"),
		WriteTimeout:        o.duration("write-timeout"),
		MaxLifetime:         o.duration("max-lifetime"),
		LifetimeSpread:      o.duration("lifetime-spread"),
		MessagesPerSecond:   o.integer("messages-per-second"),
		BytesPerSecond:      o.integer("bytes-per-second"),
	}
}

func (m *Limits) validate(bad func(option string, value any, allowed string)) {
	number := func(option string, value, most int) {
		if value < 0 || value > most {
			bad(option, value, fmt.Sprintf("0 (no bound) to %d", most))
		}
	}
	timeout := func(option string, value time.Duration) {
		if value != 0 && (value < time.Millisecond || value > maxTimeout) {
			bad(option, value, "0 (never) or 1ms to 10000h")
		}
	}
	number("max-conns-per-address", m.MaxConnsPerAddress, MaxConnsLimit)
	number("accept-rate", m.AcceptRate, maxAcceptRate)
	number("messages-per-second", m.MessagesPerSecond, maxRate)
	number("bytes-per-second", m.BytesPerSecond, maxRate)
	timeout("first-message-timeout", m.FirstMessageTimeout)
	timeout("write-timeout", m.WriteTimeout)
	timeout("max-lifetime", m.MaxLifetime)
	if m.IdleTimeout > maxTimeout || m.IdleTimeout > 0 && m.IdleTimeout < time.Millisecond {
		bad("idle-timeout", m.IdleTimeout, "0 (that of the node), 1ms to 10000h, or negative for never")
	}
	switch {
	case m.LifetimeSpread < 0 || m.LifetimeSpread > maxTimeout:
		bad("lifetime-spread", m.LifetimeSpread, "0 to max-lifetime")
	case m.LifetimeSpread > 0 && m.MaxLifetime == 0:
		bad("lifetime-spread", m.LifetimeSpread, "given beside max-lifetime alone")
	case m.LifetimeSpread > m.MaxLifetime:
		bad("lifetime-spread", m.LifetimeSpread, fmt.Sprintf("0 to max-lifetime, which is %v", m.MaxLifetime))
	}
}

// metered reports whether the limits need to know something of each connection.
func (m *Limits) metered() bool {
	return m.MaxConnsPerAddress > 0 || m.FirstMessageTimeout > 0 || m.WriteTimeout > 0 || m.MaxLifetime > 0 || m.rated()
}

func (m *Limits) rated() bool { return m.MessagesPerSecond > 0 || m.BytesPerSecond > 0 }

// tellScarceFiles warns of a MaxConns that the limit of open files does not let
// the process reach.
func (t *Transport) tellScarceFiles() {
	files, ok := openFilesLimit()
	if !ok || t.cfg.MaxConns <= defaultMaxConns() || files >= uint64(t.cfg.MaxConns)+filesReserve {
		return
	}
	t.cfg.Logger.Warn("the limit of open files is too low for the connections allowed",
		"max_conns", t.cfg.MaxConns, "open_files", files, "reserve", filesReserve,
		"remedy", fmt.Sprintf("ulimit -n %d, or LimitNOFILE= of the service, or fewer connections", t.cfg.MaxConns+filesReserve))
}
