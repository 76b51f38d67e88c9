//go:build linux

package main

// The kinds of servers. What "-hop" says is what Flamingo's pipeline is about:
// a message is handed to one of ten goroutines, and its answer comes from there.
const (
	ours      = "flamingo"
	oursServe = "flamingo-serve"
	theirC    = "c"
	gnetHop   = "gnet-hop"
	inlined   = "gnet"
)

var (
	hops    = []string{ours, "net-hop", gnetHop, "nbio-hop", "netpoll-hop"}
	inlines = []string{oursServe, "net", inlined, "nbio", "netpoll"}
)

// A row is one load, put on several kinds in turn.
type row struct {
	name  string
	kinds []string
	bench []string // flamingo bench
	both  bool     // server and client share both cores
	goals []goal
}

// A goal is a ratio that Flamingo is to reach.
type goal struct {
	name   string
	to     string  // a kind; empty: the best of the Go peers
	atMost bool    // of server time; else at least, of the rate
	want   float64 // ours to theirs
}

func (r *row) ours() string { return r.kinds[0] }

// isPeer reports whether the kind is a server in Go by others.
func isPeer(kind string) bool {
	return kind != ours && kind != oursServe && kind != theirC && kind != before
}

// before is the kind of another commit's server.
const before = "before"

func rows() []row {
	withC := append(append([]string(nil), hops...), theirC)
	inlineWithC := append(append([]string(nil), inlines...), theirC)
	deep := []string{"echo", "--conns=100", "--outstanding=32"}
	shallow := []string{"echo", "--conns=100", "--outstanding=1"}
	many := []string{"echo", "--conns=10000", "--outstanding=1"}
	churn := []string{"connect", "--conns=64"}
	return []row{
		{name: "100 × 32", kinds: withC, bench: deep, goals: []goal{
			{name: "best peer", want: 2}, {name: gnetHop, to: gnetHop, want: 10}, {name: "C", to: theirC, want: 0.5},
		}},
		{name: "100 × 1", kinds: withC, bench: shallow, goals: []goal{
			{name: "best peer", want: 1.1}, {name: "C", to: theirC, want: 0.95},
		}},
		{name: "10,000 × 1", kinds: withC, bench: many, goals: []goal{
			{name: "best peer", want: 1.1}, {name: "C", to: theirC, want: 1},
		}},
		{name: "lives", kinds: withC, bench: churn, goals: []goal{
			{name: "best peer", want: 1}, {name: "server time of " + gnetHop, to: gnetHop, atMost: true, want: 1.1},
		}},
		{name: "inline, 100 × 32", kinds: inlineWithC, bench: deep, goals: []goal{
			{name: inlined, to: inlined, want: 0.9},
		}},
		{name: "both cores, 100 × 32", kinds: hops, bench: deep, both: true, goals: []goal{{name: "best peer", want: 2}}},
		{name: "both cores, 100 × 1", kinds: hops, bench: shallow, both: true, goals: []goal{{name: "best peer", want: 1.1}}},
		{name: "both cores, 10,000 × 1", kinds: hops, bench: many, both: true, goals: []goal{{name: "best peer", want: 1.05}}},
		{name: "both cores, lives", kinds: hops, bench: churn, both: true, goals: []goal{{name: "best peer", want: 0.9}}},
	}
}

// Goals of what is measured once.
const (
	idleGoal     = 128  // bytes of user space for an idle connection, at most
	syscallsGoal = 0.08 // a message with 100 × 32, at most
)

// idleSteps are the numbers of connections between which the cost of one is
// the slope.
var idleSteps = [2]int{2000, 18000}
