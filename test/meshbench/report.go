//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strings"

	"flamingo/test/bench"
)

const introduction = `Written by ` + "`scripts/bench-mesh.sh`" + `: one process sends messages to clients whose sockets
another one holds, each design in processes of its own on loopback, in turn.
*flamingo* is SendData from node to node, and Publish to a group; *flamingo, key* is
the same with the cluster key on. *nats* are two NATS servers with a route; a gateway
in the owner's process writes to the sockets what it is subscribed to.
*redis* is pub/sub by one Redis server with the same gateway. *limit* is one TCP
stream of frames, which are neither acknowledged nor sent again. Gateways and limit
put all that waits for a client into one write. There are 10,000 clients, of which
a row sends to the first so many; they check that each message comes once and in order.

The sender has one core, the owner and the clients have the other, unless a row says
otherwise: *one core* has all processes on it, *two cores* are anybody's. *One way* is
from the call to the client, at 5,000 messages a second; a *round trip* is Send, which
waits until the owner has written the message to the socket, one at a time. *CPU* is
user and system time of all processes but the clients', *writes* are the calls to
write of the owner's process. Figures are medians of the rounds, ratios medians of the
ratios in each round.`

// part is the report in Markdown.
func (r *results) part(head string) []byte {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "%s\n%s\n\n%s\n", bench.MeshHeading, introduction, head)
	r.writeGoals(b)
	r.writeFigures(b)
	r.writeWrongs(b)
	return b.Bytes()
}

func (r *results) writeGoals(b *bytes.Buffer) {
	b.WriteString("\n### Ratios\n\n| | figure | to | ratio | least to greatest | with a key | least to greatest | goal | |\n|---|---|---|---:|---:|---:|---:|---:|---|\n")
	for _, row := range rows() {
		of := r.all[row.name]
		for _, g := range row.goals {
			if len(of[ours]) > 0 && len(of[g.to]) > 0 {
				b.WriteString(g.line(row.name, of))
			}
		}
	}
}

// line is the line of a goal in the table, from the samples of each design. The
// verdict is on both, with and without a key.
func (g *goal) line(row string, of map[string][]sample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %s | %s |", row, g.of.name, g.to)
	sign := "≤"
	if g.least {
		sign = "≥"
	}
	var verdicts []string
	for _, mine := range []string{ours, keyed} {
		if len(of[mine]) == 0 {
			b.WriteString(" | |")
			continue
		}
		ratio, least, greatest := g.of.ratio(of[mine], of[g.to])
		fmt.Fprintf(&b, " %.2f | %.2f to %.2f |", ratio, least, greatest)
		verdicts = append(verdicts, bench.Met(ratio == g.want || (ratio > g.want) == g.least))
	}
	fmt.Fprintf(&b, " %s %.2f | %s |\n", sign, g.want, strings.Join(verdicts, ", "))
	return b.String()
}

func (r *results) writeFigures(b *bytes.Buffer) {
	designs := r.designs()
	fmt.Fprintf(b, "\n### Figures\n\nBehind a figure, Flamingo's by it.\n\n| | figure | %s |\n|---|---|%s\n", strings.Join(designs, " | "), strings.Repeat("---:|", len(designs)))
	for _, row := range rows() {
		of := r.all[row.name]
		for _, f := range row.shows {
			if len(of) == 0 {
				continue
			}
			fmt.Fprintf(b, "| %s | %s |", row.name, f.name)
			for _, d := range designs {
				b.WriteString(f.cell(d, of[ours], of[d]))
			}
			b.WriteString("\n")
		}
	}
}

func (f figure) cell(design string, mine, theirs []sample) string {
	switch {
	case len(theirs) == 0:
		return " |"
	case design == ours || len(mine) == 0:
		return fmt.Sprintf(" %s |", number(f.median(theirs)))
	default:
		ratio, _, _ := f.ratio(mine, theirs)
		return fmt.Sprintf(" %s : %.2f |", number(f.median(theirs)), ratio)
	}
}

func (r *results) writeWrongs(b *bytes.Buffer) {
	b.WriteString("\n### Delivery\n\nOf all messages of all rows and rounds.\n\n| | messages | lost | doubled | out of order | to another client |\n|---|---:|---:|---:|---:|---:|\n")
	for _, d := range r.designs() {
		var sum sample
		for _, of := range r.all {
			for _, s := range of[d] {
				sum.Add(s.Tally)
				sum.Lost += s.Lost
			}
		}
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d |\n", d, bench.Grouped(int64(sum.Messages)), sum.Lost, sum.Doubled, sum.Disordered, sum.Foreign)
	}
}
