package port

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"flamingo/cluster/trust"
)

// Defaults and bounds of Config.
const (
	// DefaultPort is the port between nodes, TCP and UDP.
	DefaultPort = 4110

	DefaultClassifyTimeout = 5 * time.Second
	DefaultMaxUnclassified = 256
	DefaultQueueLen        = 64
	DefaultPacketQueueLen  = 256 // at 64 KiB each, 16 MiB in the worst case

	maxClassifyTimeout = time.Minute
	maxQueueLen        = 1 << 16
)

// Config holds the settings of a Port. The zero value listens on loopback.
type Config struct {
	// Addr is the cluster address to listen on. Zero means
	// 127.0.0.1:DefaultPort; with port 0 the system chooses one, the same for
	// TCP and UDP.
	Addr netip.AddrPort

	// Insecure allows clear text on other addresses than loopback, to listen
	// on and to dial. Set it on a network that nobody else can reach.
	Insecure bool

	// Trust makes every stream one of TLS between nodes that know the cluster's
	// key; whoever sends packets encrypts them. Nil means clear text.
	Trust *trust.Trust

	// Network replaces the operating system's, in tests.
	Network Network

	// ClassifyTimeout is how long a connection may take to say its protocol, and
	// with Trust for both ends to be sure of each other, dialed ones too. Zero means DefaultClassifyTimeout; at most one minute.
	ClassifyTimeout time.Duration

	// MaxUnclassified bounds the connections that have not said it yet; over
	// it the oldest is closed. Zero means DefaultMaxUnclassified; at most
	// 65536.
	MaxUnclassified int

	// QueueLen bounds the streams that wait for one consumer; one more is
	// closed. Zero means DefaultQueueLen; at most 65536.
	QueueLen int

	// PacketQueueLen bounds the packets that wait; one more is dropped. Zero
	// means DefaultPacketQueueLen; at most 65536.
	PacketQueueLen int

	// Logger gets what an operator may want to know. Nil means none.
	Logger *slog.Logger
}

// validate returns every fault of c, joined.
func (c Config) validate() error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	switch {
	case c.Addr == netip.AddrPort{}:
	case !c.Addr.IsValid():
		bad("Addr %v: want an IP address and a port", c.Addr)
	default:
		if err := c.checkClear("Addr", c.Addr); err != nil {
			faults = append(faults, err)
		}
	}
	if c.ClassifyTimeout < 0 || c.ClassifyTimeout > maxClassifyTimeout {
		bad("ClassifyTimeout %v: want 0 (for %v) to %v", c.ClassifyTimeout, DefaultClassifyTimeout, maxClassifyTimeout)
	}
	for _, n := range []struct {
		name      string
		got, zero int
	}{
		{"MaxUnclassified", c.MaxUnclassified, DefaultMaxUnclassified},
		{"QueueLen", c.QueueLen, DefaultQueueLen},
		{"PacketQueueLen", c.PacketQueueLen, DefaultPacketQueueLen},
	} {
		if n.got < 0 || n.got > maxQueueLen {
			bad("%s %d: want 0 (for %d) to %d", n.name, n.got, n.zero, maxQueueLen)
		}
	}
	return errors.Join(faults...)
}

// checkClear returns an error matching ErrInsecure if clear text would be spoken
// at addr and must not be; what names the option or the deed.
func (c Config) checkClear(what string, addr netip.AddrPort) error {
	if c.Insecure || c.Trust != nil || addr.Addr().Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s %v: %w: without a key (Trust) or Insecure allowed are 127.0.0.0/8 and ::1", what, addr, ErrInsecure)
}

// withDefaults returns c with the meaning of its zeros.
func (c Config) withDefaults() Config {
	if c.Addr == (netip.AddrPort{}) {
		c.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), DefaultPort)
	}
	c.Network = c.Network.withDefaults()
	if c.ClassifyTimeout == 0 {
		c.ClassifyTimeout = DefaultClassifyTimeout
	}
	if c.MaxUnclassified == 0 {
		c.MaxUnclassified = DefaultMaxUnclassified
	}
	if c.QueueLen == 0 {
		c.QueueLen = DefaultQueueLen
	}
	if c.PacketQueueLen == 0 {
		c.PacketQueueLen = DefaultPacketQueueLen
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
