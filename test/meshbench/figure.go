//go:build linux

package main

import (
	"fmt"

	"flamingo/test/bench"
)

// A figure is a number taken from samples.
type figure struct {
	name string
	of   func(sample) float64
}

var (
	rate    = figure{"messages/s", func(s sample) float64 { return s.Rate }}
	cpu     = figure{"CPU s a million", func(s sample) float64 { return s.Sender + s.Owner }}
	writes  = figure{"writes a message", func(s sample) float64 { return s.Writes }}
	p50     = figure{"p50 µs", func(s sample) float64 { return s.P50 }}
	p99     = figure{"p99 µs", func(s sample) float64 { return s.P99 }}
	took    = figure{"ms to the last client", func(s sample) float64 { return s.P50 / 1000 }}
	cpuCall = figure{"CPU ms a publish", func(s sample) float64 { return s.CPUCall / 1000 }}
)

// text formats the figure of s.
func (f figure) text(s sample) string { return number(f.of(s)) }

func number(v float64) string {
	switch {
	case v >= 1000:
		return bench.Grouped(int64(v))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// median returns the middle one of samples, of which there is one at least.
func (f figure) median(all []sample) float64 {
	values := make([]float64, len(all))
	for i, s := range all {
		values[i] = f.of(s)
	}
	return bench.Median(values)
}

// ratio returns the middle one of the ratios of each round, and the least and
// the greatest.
func (f figure) ratio(mine, theirs []sample) (median, least, greatest float64) {
	n := min(len(mine), len(theirs))
	ratios := make([]float64, n)
	for i := range n {
		ratios[i] = f.of(mine[i]) / f.of(theirs[i])
	}
	least, greatest = ratios[0], ratios[0]
	for _, r := range ratios {
		least, greatest = min(least, r), max(greatest, r)
	}
	return bench.Median(ratios), least, greatest
}
