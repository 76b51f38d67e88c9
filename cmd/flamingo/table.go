package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printTable writes rows of cells in columns. The first row has the titles.
func printTable(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = orDash(printable(cell))
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

func orDash(cell string) string {
	if cell == "" {
		return "-"
	}
	return cell
}

// printable replaces what could move the cursor of a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return '·'
		}
		return r
	}, text)
}

// count formats a number of bytes in at most four digits.
func count(n uint64) string {
	const kilo = 1000
	if n < kilo {
		return fmt.Sprintf("%dB", n)
	}
	value, unit := float64(n)/kilo, "kMGTPE"
	for value >= kilo-0.5 {
		value, unit = value/kilo, unit[1:]
	}
	if value < 9.95 {
		return fmt.Sprintf("%.1f%cB", value, unit[0])
	}
	return fmt.Sprintf("%.0f%cB", value, unit[0])
}

// span formats a time for a table: the two largest units of it.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
	}
}

// plural is a number of things, such as 3 nodes.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
