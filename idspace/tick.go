package idspace

import (
	"math"
	"time"
)

const (
	// TickDuration is the length of a tick. A leader grants at most one
	// number per tick, so it also paces how fast nodes can start.
	TickDuration = time.Second / 16

	ticksPerSecond = uint64(time.Second / TickDuration)

	// epochUnix is 2026-01-01 00:00:00 UTC in seconds of Unix time.
	epochUnix = 1767225600
)

// Tick counts sixteenths of a second since 2026-01-01 UTC. Tick zero in a
// command means that the leader does not vouch for its clock.
type Tick uint64

// TickAt returns the tick in which t lies, and zero for times before the
// epoch. It never decreases as t grows.
func TickAt(t time.Time) Tick {
	if t.Unix() < epochUnix {
		return 0
	}
	sec := uint64(t.Unix() - epochUnix)
	if sec > math.MaxUint64/ticksPerSecond {
		return math.MaxUint64
	}
	return Tick(sec*ticksPerSecond + uint64(t.Nanosecond())/uint64(TickDuration))
}

// Time returns the instant at which the tick began, in UTC.
func (t Tick) Time() time.Time {
	sec := uint64(t) / ticksPerSecond
	part := uint64(t) % ticksPerSecond
	return time.Unix(epochUnix+int64(sec), int64(part)*int64(TickDuration)).UTC()
}
