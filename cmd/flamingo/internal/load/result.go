package load

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Result is what was measured.
type Result struct {
	Seconds float64 `json:"seconds"`     // of the measurement
	Done    int64   `json:"done"`        // replies, or lives, in that time
	Rate    float64 `json:"rate"`        // of those, a second
	Total   int64   `json:"total"`       // the same from the first to the last: with the warm-up
	Errors  int64   `json:"errors"`      // connections or lives that failed, and replies that never came
	Unsent  int64   `json:"unsent"`      // due by the rate and not begun in time
	Latency Latency `json:"latency_us"`  // of what was done
	Client  float64 `json:"client_cpus"` // processors that this process kept busy
	Server  float64 `json:"server_cpus"` // and the server's, with Target.Pid
}

// Latency is how long replies or lives took, in microseconds.
type Latency struct {
	P50       float64 `json:"p50"`
	P90       float64 `json:"p90"`
	P99       float64 `json:"p99"`
	P999      float64 `json:"p99_9"`
	Max       float64 `json:"max"`
	Corrected bool    `json:"corrected"` // counted from when it was due
}

// ServerTime is what one reply or life cost the server; zero if that is unknown.
func (r *Result) ServerTime() time.Duration {
	if r.Done == 0 {
		return 0
	}
	return time.Duration(r.Server * r.Seconds / float64(r.Done) * float64(time.Second))
}

// A Step is what was seen when as many connections were open.
type Step struct {
	Conns    int   `json:"connections"`
	Resident int64 `json:"resident_bytes"` // anonymous memory of the server, with Target.Pid
	Kernel   int64 `json:"kernel_bytes"`   // slabs and socket buffers of the whole machine: both ends
}

// longest is the longest time that a histogram tells from longer ones, in
// nanoseconds.
const longest = int64(time.Minute)

// A meter counts what is done while it is on.
type meter struct {
	times    *hdrhistogram.Histogram // nanoseconds
	from, to int64                   // when it is on, in nanoseconds since the start
	total    int64                   // done at all
	done     int64                   // done while on
	errors   int64
	unsent   int64
}

// newMeter returns one that is on for d, from from after the start.
func newMeter(from, d time.Duration) *meter {
	return &meter{
		times: hdrhistogram.New(1000, longest, 3), // a microsecond, three digits
		from:  int64(from), to: int64(from + d),
	}
}

// record counts what was due or begun at since, and done at now. What began
// while the meter was on is timed even if it is done later: it would be the
// longest that are missing.
func (m *meter) record(since, now int64) {
	m.total++
	if now >= m.from && now < m.to {
		m.done++
	}
	if since >= m.from && since < m.to {
		m.time(now - since)
	}
}

// late counts what was due at since, and is not begun by the end.
func (m *meter) late(since int64) {
	if since >= m.from && since < m.to {
		m.unsent++
		m.time(m.to - since) // it takes longer than that
	}
}

func (m *meter) time(d int64) { _ = m.times.RecordValue(min(max(d, 0), longest)) } // in range

func (m *meter) result(corrected bool) Result {
	const micro = 1e3
	at := func(q float64) float64 { return float64(m.times.ValueAtQuantile(q)) / micro }
	seconds := time.Duration(m.to - m.from).Seconds()
	return Result{
		Seconds: seconds, Done: m.done, Rate: math.Round(float64(m.done) / seconds), Total: m.total,
		Errors: m.errors, Unsent: m.unsent,
		Latency: Latency{
			P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
			Max: float64(m.times.Max()) / micro, Corrected: corrected,
		},
	}
}

// A schedule says when the messages of a rate are due.
type schedule struct {
	interval float64 // nanoseconds; 0: there is no rate
}

func newSchedule(rate float64) schedule {
	if rate == 0 {
		return schedule{}
	}
	return schedule{interval: float64(time.Second) / rate}
}

func (s schedule) has() bool { return s.interval > 0 }

// at is when number k is due, counted from 0, in nanoseconds since the start.
func (s schedule) at(k int64) int64 { return int64(float64(k)*s.interval) + 1 }

// by is how many are due at now.
func (s schedule) by(now int64) int64 { return int64(math.Floor(float64(now-1)/s.interval)) + 1 }
