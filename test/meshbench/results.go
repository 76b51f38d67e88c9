//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"flamingo/test/meshbench/worker"
)

// A mark is a moment of a design.
type mark struct {
	at            time.Time
	messages      uint64
	sender, owner time.Duration
	allocs        [2]worker.Answer // sender, owner
}

func (d *design) mark() (m mark, err error) {
	for i, c := range []*child{d.sender, d.owner} {
		if m.allocs[i], err = c.ask(worker.Order{Do: "allocs"}); err != nil {
			return m, err
		}
	}
	if m.sender, err = d.sender.cpu(); err != nil {
		return m, err
	}
	m.owner, err = d.owner.cpu()
	m.at, m.messages = time.Now(), d.board.Messages()
	return m, err
}

// A sample is what one measurement found. Costs are for a message delivered.
type sample struct {
	rate          float64 // messages a second
	sender, owner float64 // processor time in microseconds
	mallocs       [2]float64
	bytes         [2]float64
	p50, p99      time.Duration
}

// since returns what happened after from.
func (d *design) since(from mark) (s sample, err error) {
	to, err := d.mark()
	if err != nil {
		return s, err
	}
	n := float64(to.messages - from.messages)
	if n == 0 {
		return s, fmt.Errorf("no message was delivered in %s", to.at.Sub(from.at))
	}
	each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / n }
	s.rate = n / to.at.Sub(from.at).Seconds()
	s.owner = each(to.owner - from.owner)
	if d.sender != d.owner {
		s.sender = each(to.sender - from.sender)
	}
	for i := range s.mallocs {
		s.mallocs[i] = float64(to.allocs[i].Mallocs-from.allocs[i].Mallocs) / n
		s.bytes[i] = float64(to.allocs[i].Bytes-from.allocs[i].Bytes) / n
	}
	return s, nil
}

// results holds the samples by load, then by design.
type results map[string]map[string][]sample

func (r results) add(load, design string, s sample) {
	if r[load] == nil {
		r[load] = make(map[string][]sample)
	}
	r[load][design] = append(r[load][design], s)
}

// A figure is a number taken from samples. Zero is no number.
type figure struct {
	name   string
	format string
	of     func(sample) float64
}

var (
	rate   = figure{"messages/s", "%.0f", func(s sample) float64 { return s.rate }}
	p50    = figure{"p50 µs", "%.1f", func(s sample) float64 { return float64(s.p50) / 1e3 }}
	p99    = figure{"p99 µs", "%.1f", func(s sample) float64 { return float64(s.p99) / 1e3 }}
	costs  = figure{"CPU µs, both", "%.3f", func(s sample) float64 { return s.sender + s.owner }}
	costsA = figure{"CPU µs, sender", "%.3f", func(s sample) float64 { return s.sender }}
	costsB = figure{"CPU µs, owner", "%.3f", func(s sample) float64 { return s.owner }}
)

// print writes tables in Markdown.
func (dr *driver) print(out io.Writer, pinned bool) {
	how := "not pinned"
	if pinned {
		how = "sender on core 0, owner and clients on core 1"
	}
	fmt.Fprintf(out, "%d rounds of %s, %s; medians. Behind the colon: flamingo by it, median (least to greatest) of the rounds.\n", dr.rounds, dr.measure, how)
	for _, f := range []figure{rate, p50, p99, costs, costsA, costsB} {
		dr.table(out, f)
	}
	fmt.Fprint(out, "\n| allocations a message, flamingo | sender | bytes | owner | bytes |\n|---|---:|---:|---:|---:|\n")
	for _, j := range dr.jobs() {
		all := dr.results[j.name]["flamingo"]
		fmt.Fprintf(out, "| %s |", j.name)
		for end := range 2 {
			fmt.Fprintf(out, " %.4f | %.1f |",
				median(all, func(s sample) float64 { return s.mallocs[end] }),
				median(all, func(s sample) float64 { return s.bytes[end] }))
		}
		fmt.Fprintln(out)
	}
}

func (dr *driver) table(out io.Writer, f figure) {
	var head strings.Builder
	for _, d := range dr.designs {
		fmt.Fprintf(&head, " %s |", d.name)
	}
	fmt.Fprintf(out, "\n| %s |%s\n|---|%s\n", f.name, head.String(), strings.Repeat("---:|", len(dr.designs)))
	for _, j := range dr.jobs() {
		of := dr.results[j.name]
		ours := of[dr.designs[0].name]
		if median(ours, f.of) == 0 {
			continue
		}
		fmt.Fprintf(out, "| %s |", j.name)
		for i, d := range dr.designs {
			theirs := of[d.name]
			value := median(theirs, f.of)
			switch {
			case value == 0:
				fmt.Fprint(out, " |")
			case i == 0:
				fmt.Fprintf(out, " "+f.format+" |", value)
			default:
				ratios := make([]float64, len(theirs))
				for k := range theirs {
					ratios[k] = f.of(ours[k]) / f.of(theirs[k])
				}
				slices.Sort(ratios)
				fmt.Fprintf(out, " "+f.format+" : %.2f (%.2f to %.2f) |", value, ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
			}
		}
		fmt.Fprintln(out)
	}
}

func median(all []sample, of func(sample) float64) float64 {
	values := make([]float64, len(all))
	for i, s := range all {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
