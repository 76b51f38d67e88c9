package gossip

import (
	"errors"
	"fmt"
	"time"
)

// Timing says how often members speak and how patient they are. All members
// of a cluster should have the same.
type Timing struct {
	Probe        time.Duration // between probes, each of one member
	ProbeTimeout time.Duration // for the answer by packet; under Probe
	Gossip       time.Duration // between rounds that spread news
	Exchange     time.Duration // between exchanges of full state with one member
	Forget       time.Duration // after which a dead member is forgotten

	// Suspicion is how many probes long a member is suspected before it is
	// taken for dead, times the logarithm of the number of members.
	Suspicion int

	// Stream bounds a stream: dialing, hello, and exchange.
	Stream time.Duration

	// RejoinMin and RejoinMax bound the pause between rounds that look for
	// seeds and lost members.
	RejoinMin, RejoinMax time.Duration
}

// LAN returns the timing for nodes in one place: memberlist's defaults, but for
// more exchanges. It finds a dead member among few within about six seconds.
func LAN() Timing {
	return Timing{
		Probe:        time.Second,
		ProbeTimeout: 500 * time.Millisecond,
		Gossip:       200 * time.Millisecond,
		Exchange:     10 * time.Second, // a packet with news may be lost
		Forget:       30 * time.Second,
		Suspicion:    4,
		Stream:       10 * time.Second,
		RejoinMin:    time.Second,
		RejoinMax:    time.Minute,
	}
}

// Fast returns the timing for nodes in one process, in tests and demos.
func Fast() Timing {
	return Timing{
		Probe:        200 * time.Millisecond,
		ProbeTimeout: 100 * time.Millisecond,
		Gossip:       20 * time.Millisecond,
		Exchange:     time.Second,
		Forget:       time.Second,
		Suspicion:    4,
		Stream:       5 * time.Second,
		RejoinMin:    50 * time.Millisecond,
		RejoinMax:    time.Second,
	}
}

// maxSuspicion bounds Timing.Suspicion: above it a dead member of a small
// cluster lives on for minutes.
const maxSuspicion = 100

// validate returns every fault of t, joined.
func (t Timing) validate() error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("Timing."+format, args...))
	}
	for _, d := range []struct {
		name string
		got  time.Duration
	}{
		{"Probe", t.Probe},
		{"ProbeTimeout", t.ProbeTimeout},
		{"Gossip", t.Gossip},
		{"Exchange", t.Exchange},
		{"Forget", t.Forget},
		{"Stream", t.Stream},
		{"RejoinMin", t.RejoinMin},
		{"RejoinMax", t.RejoinMax},
	} {
		if d.got < time.Millisecond || d.got > time.Hour {
			bad("%s %v: want 1ms to 1h", d.name, d.got)
		}
	}
	if t.ProbeTimeout >= t.Probe {
		bad("ProbeTimeout %v: want less than Probe, which is %v", t.ProbeTimeout, t.Probe)
	}
	if t.RejoinMin > t.RejoinMax {
		bad("RejoinMin %v: want at most RejoinMax, which is %v", t.RejoinMin, t.RejoinMax)
	}
	if t.Suspicion < 1 || t.Suspicion > maxSuspicion {
		bad("Suspicion %d: want 1 to %d", t.Suspicion, maxSuspicion)
	}
	return errors.Join(faults...)
}
