//go:build linux

package main

import (
	"bytes"
	"fmt"
	"slices"

	"flamingo/test/bench"
)

// medianOf is the middle measurement of a kind in a row.
func (r *results) medianOf(row *row, kind string) sample { return median(r.measured[row.name][kind]) }

// best returns the Go peer with the highest rate in a row.
func (r *results) best(row *row) (kind string) {
	for _, k := range row.kinds {
		if isPeer(k) && (kind == "" || r.medianOf(row, k).Rate > r.medianOf(row, kind).Rate) {
			kind = k
		}
	}
	return kind
}

// timeOf is the middle of what one message or life of a row cost a kind, in
// microseconds of processor.
func (r *results) timeOf(row *row, kind string) float64 {
	var times []float64
	for _, s := range r.measured[row.name][kind] {
		times = append(times, s.serverTime())
	}
	return bench.Median(times)
}

// A verdict is what became of a goal.
type verdict struct {
	to     string // whom it was compared with
	got    float64
	byTime float64 // the same from what one costs the server, if it is a ratio of rates
	want   string
	met    bool
}

func (r *results) judge(row *row, g goal) verdict {
	to := g.to
	if to == "" {
		to = r.best(row)
	}
	mine, other := r.timeOf(row, row.ours()), r.timeOf(row, to)
	if g.atMost {
		got := mine / other
		return verdict{to: to, got: got, want: fmt.Sprintf("≤ %.2f", g.want), met: got <= g.want}
	}
	got := r.medianOf(row, row.ours()).Rate / max(r.medianOf(row, to).Rate, 1)
	return verdict{to: to, got: got, byTime: other / mine, want: fmt.Sprintf("≥ %.2f", g.want), met: got >= g.want}
}

// page is the report in Markdown.
func (r *results) page() []byte {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "# Benchmarks\n\n%s\n\n", introduction)
	fmt.Fprintf(b, "%s\n\n![Rates to that of the best](benchmarks.svg)\n", r.head)
	r.writeGoals(b)
	r.writeRates(b)
	r.writeOnce(b)
	return b.Bytes()
}

const introduction = `Written by ` + "`scripts/bench-peers.sh`" + `: an echo of lines of 64 bytes, by Flamingo and
by servers of our own writing on other libraries, in turn under the same load of
` + "`flamingo bench`" + `, which checks every reply. Server and client have a core each,
unless a row says otherwise. *100 × 32* is 100 connections with 32 messages under
way on each; a *life* is connect, one line echoed, close. Figures are medians;
those of one machine compare with each other only.

What is measured is the pipeline: whoever reads hands each message to one of ten
goroutines, from where its answer is sent. ` + "`flamingo`" + ` is RecvData and SendData;
the peers use a channel, then: *net-hop* a Write for each message on a connection
with a goroutine of its own, *gnet-hop* AsyncWrite, *nbio-hop* Write, and
*netpoll-hop* the ShardQueue that merges writes. *C* is a loop in C on one thread
without any hop, and writes once for all that it has read: what the machine
allows. The rows *inline* answer where the message is read, *flamingo-serve* from
Serve with one worker.`

func (r *results) writeGoals(b *bytes.Buffer) {
	b.WriteString("\n## Ratios\n\nOf rates; and beside them of the processor time that one message or life costs the\nserver, theirs to ours, which depends less on what else the machine does.\n\n| | to | ratio | by server time | goal | |\n|---|---|---:|---:|---:|---|\n")
	for i := range r.rows {
		row := &r.rows[i]
		for _, g := range row.goals {
			v := r.judge(row, g)
			name := g.name
			if g.to == "" {
				name += ", " + v.to
			}
			byTime := ""
			if v.byTime != 0 {
				byTime = fmt.Sprintf("%.2f", v.byTime)
			}
			fmt.Fprintf(b, "| %s | %s | %.2f | %s | %s | %s |\n", row.name, name, v.got, byTime, v.want, bench.Met(v.met))
		}
	}
	if idle, ok := r.idle[ours]; ok {
		fmt.Fprintf(b, "| bytes of an idle connection, fresh | | %d | | ≤ %d | %s |\n", idle.fresh, idleGoal, bench.Met(idle.fresh <= idleGoal))
		fmt.Fprintf(b, "| the same after an echo | | %d | | ≤ %d | %s |\n", idle.echoed, idleGoal, bench.Met(idle.echoed <= idleGoal))
	}
	if calls, ok := r.syscalls[ours]; ok {
		fmt.Fprintf(b, "| system calls a message, 100 × 32 | | %.3f | | ≤ %.2f | %s |\n", calls, syscallsGoal, bench.Met(calls <= syscallsGoal))
	}
}

func (r *results) writeRates(b *bytes.Buffer) {
	b.WriteString("\n## Rates\n\nMessages or lives a second, and the server's processor time for one.\n")
	var last []string
	for i := range r.rows {
		row := &r.rows[i]
		if !slices.Equal(last, row.kinds) {
			last = row.kinds
			b.WriteString("\n| |")
			for _, k := range row.kinds {
				fmt.Fprintf(b, " %s |", k)
			}
			b.WriteString("\n|---|")
			for range row.kinds {
				b.WriteString("---:|")
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "| %s |", row.name)
		for _, k := range row.kinds {
			s := r.medianOf(row, k)
			fmt.Fprintf(b, " %s, %.2f µs |", bench.Grouped(int64(s.Rate)), r.timeOf(row, k))
		}
		b.WriteString("\n")
	}
}

// writeOnce writes what is measured once.
func (r *results) writeOnce(b *bytes.Buffer) {
	if len(r.idle) > 0 {
		fmt.Fprintf(b, `
## Memory of an idle connection

Bytes that one more costs, from the slope between %s and %s connections:
heap and stacks of the server in use after a collection (C: its anonymous
memory), and the slabs of the kernel for both ends.

| | fresh | after one echo | kernel |
|---|---:|---:|---:|
`, bench.Grouped(int64(idleSteps[0])), bench.Grouped(int64(idleSteps[1])))
		for _, k := range append(slices.Clone(hops), theirC) {
			c := r.idle[k]
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", k, bench.Grouped(c.fresh), bench.Grouped(c.echoed), bench.Grouped(c.kernel))
		}
	}
	if len(r.syscalls) > 0 {
		b.WriteString("\n## System calls\n\nFor a message with 100 × 32, counted by strace, which slows a server down and so\nlets more messages come together.\n\n| | calls a message |\n|---|---:|\n")
		for _, k := range append(slices.Clone(hops), theirC) {
			fmt.Fprintf(b, "| %s | %.3f |\n", k, r.syscalls[k])
		}
	}
}
