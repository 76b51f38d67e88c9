//go:build linux

package main

import (
	"bytes"
	"fmt"
	"html"

	"flamingo/test/bench"
)

// Sizes of the chart, in its own units.
const (
	chartWidth  = 760
	labelWidth  = 170
	barHeight   = 13
	groupGap    = 12
	titleHeight = 16
	valueWidth  = 130
)

// colors are those of the kinds.
var colors = map[string]string{
	ours: "#e2477c", oursServe: "#e2477c", theirC: "#333333", before: "#999999",
}

const peerColor = "#8aa4c0"

// svg is a chart of bars: for each row the rates of its kinds, the longest bar
// being that of the best.
func (r *results) svg() []byte {
	body := new(bytes.Buffer)
	y := 0
	for i := range r.rows {
		row := &r.rows[i]
		most := 1.0
		for _, k := range row.kinds {
			most = max(most, r.medianOf(row, k).Rate)
		}
		y += titleHeight
		fmt.Fprintf(body, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>\n", 4, y-4, html.EscapeString(title(row)))
		for _, k := range row.kinds {
			rate := r.medianOf(row, k).Rate
			width := rate / most * (chartWidth - labelWidth - valueWidth)
			fmt.Fprintf(body, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", labelWidth-6, y+barHeight-3, html.EscapeString(k))
			fmt.Fprintf(body, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", labelWidth, y+1, width, barHeight-2, colorOf(k))
			fmt.Fprintf(body, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", labelWidth+width+4, y+barHeight-3, bench.Grouped(int64(rate)))
			y += barHeight
		}
		y += groupGap
	}
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"10\">\n", chartWidth, y)
	fmt.Fprintf(b, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n%s</svg>\n", chartWidth, y, body)
	return b.Bytes()
}

func title(row *row) string {
	if row.bench[0] == "connect" {
		return row.name + " a second"
	}
	return row.name + ", messages a second"
}

func colorOf(kind string) string {
	if c, ok := colors[kind]; ok {
		return c
	}
	return peerColor
}
