//go:build linux

package main

import "flamingo/test/meshbench/worker"

// A mode is what a row does.
type mode int

const (
	streaming  mode = iota // SendData; the load says how fast
	roundTrips             // Send: each goroutine waits for its message to be written
	publishing             // to the connections of both nodes, again when all have it
)

// pins are the cores of the sender's side, and of the owner's with the clients;
// empty: any.
type pins struct{ sender, owner string }

var (
	oneEach = pins{"0", "1"}
	oneCore = pins{"0", "0"}
	anyCore = pins{}
)

// A row is one load, put on several designs in turn.
type row struct {
	name  string
	mode  mode
	load  worker.Load
	own   int // connections that the sender has itself
	cpus  pins
	shows []figure
	goals []goal
}

// eager reports whether the clients are to read at once, since time is what is
// measured.
func (r *row) eager() bool { return r.load.Timed || r.mode == roundTrips }

// A goal is a ratio that Flamingo is to reach.
type goal struct {
	of    figure
	to    string  // a design
	least bool    // at least, else at most
	want  float64 // ours to theirs
}

func atLeast(want float64, of figure, to string) goal { return goal{of, to, true, want} }

func atMost(want float64, of figure) goal { return goal{of, limit, false, want} }

// conns is how many clients the owner has in every row, and how many a publish
// reaches on both nodes together.
const conns = 10_000

// Rates of paced rows, in messages a second.
const (
	pacedRate = 20_000
	calmRate  = 5_000
)

func rows() []row {
	stream := func(name string, size, to int, goals ...goal) row {
		return row{
			name: name, load: worker.Load{Goroutines: 1, Conns: to, Size: size}, cpus: oneEach,
			shows: []figure{rate, cpu, writes}, goals: goals,
		}
	}
	ten := stream("64 B to 1,000, by 10", 64, 1000)
	ten.load.Goroutines = 10
	return []row{
		stream("64 B to 1", 64, 1, atLeast(6, rate, nats)),
		stream(
			"64 B to 100", 64, 100,
			atLeast(6, rate, nats), atLeast(0.45, rate, limit), atMost(2.5, cpu),
		),
		stream(
			"64 B to 10,000", 64, conns,
			atLeast(1.4, rate, nats), atLeast(0.85, rate, limit), atMost(1.3, cpu),
		),
		ten,
		stream("1 KiB to 1", 1024, 1),
		stream("1 KiB to 100", 1024, 100, atLeast(4, rate, nats), atLeast(0.75, rate, limit)),
		stream("1 KiB to 10,000", 1024, conns, atLeast(1.2, rate, nats), atLeast(0.85, rate, limit)),
		{
			name: "one core, one way", cpus: oneCore, shows: []figure{p50, p99},
			load:  worker.Load{Goroutines: 1, Conns: 100, Size: 64, PerSecond: calmRate, Timed: true},
			goals: []goal{atMost(1.4, p50)},
		},
		{
			name: "one core, round trip", mode: roundTrips, cpus: oneCore, shows: []figure{p50, p99},
			load:  worker.Load{Goroutines: 1, Conns: 100, Size: 64},
			goals: []goal{atMost(1.2, p99)},
		},
		{
			name: "two cores, 20,000 a second", cpus: anyCore, shows: []figure{p50, p99},
			load:  worker.Load{Goroutines: 1, Conns: 100, Size: 64, PerSecond: pacedRate, Timed: true},
			goals: []goal{atMost(1.3, p50)},
		},
		{
			name: "publish to 10,000 on two nodes", mode: publishing, cpus: anyCore, own: conns / 2,
			shows: []figure{took, cpuCall}, load: worker.Load{Conns: conns, Size: 64},
			goals: []goal{atMost(1.05, took), atMost(1.05, cpuCall)},
		},
	}
}
