package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Styles of a terminal.
const (
	styleBold  = "\x1b[1m"
	styleRed   = "\x1b[31m"
	stylePlain = "\x1b[m"
)

// View implements tea.Model.
func (m top) View() tea.View {
	v := tea.NewView(m.picture())
	v.AltScreen = true
	v.WindowTitle = "flamingo top"
	return v
}

// picture is the screen: a headline, what is wrong or a pane, the keys.
func (m top) picture() string {
	lines := []string{styleBold + fit(m.headline(), m.width) + stylePlain}
	if m.now.err != nil {
		lines = append(lines, styleRed+fit("no answer, so this is old: "+printable(m.now.err.Error()), m.width)+stylePlain)
	}
	body := m.body()
	room := max(1, m.height-len(lines)-1)
	for i, line := range body {
		title := i == 0
		if !title && i <= m.row {
			continue
		}
		if room--; room < 0 {
			break
		}
		line = fit(line, m.width)
		if title {
			line = styleBold + line + stylePlain
		}
		lines = append(lines, line)
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return strings.Join(append(lines, fit(m.footer(), m.width)), "\n")
}

// headline is the cluster in one line.
func (m top) headline() string {
	s := m.now.survey
	var sends float64
	for _, l := range m.loads {
		sends += l.Out
	}
	well := "well"
	if found := s.findings(); len(found) > 0 {
		well = fmt.Sprintf("%s: %s", levelNames[worst(found)], strings.TrimSpace(found[0].Node+" "+found[0].What))
	}
	return fmt.Sprintf("flamingo top · %s · %s clients · %s/s written · %s", plural(len(s.Nodes), "node"),
		grouped(int64(s.total("connections"))), short(sends), well)
}

// footer says what keys do.
func (m top) footer() string {
	switch {
	case m.filtering:
		return "/" + m.filter + "▏ enter keeps it, esc drops it"
	case m.pane == paneHelp:
		return "esc goes back"
	}
	text := "n nodes · c conns · m mesh · e events · p problems · s sort:" + orders[m.order].name + " · / filter · ? keys · q quit"
	if m.filter != "" {
		text = "/" + m.filter + " · " + text
	}
	if m.paused {
		text = "paused · " + text
	}
	return text
}

// body are the lines of the pane, the first its title.
func (m top) body() []string {
	switch m.pane {
	case paneConns:
		return m.lines(connectionRows(m.now.conns, m.now.At))
	case paneTrips:
		return m.lines(m.now.tripTable())
	case paneEvents:
		rows := [][]string{{"AT", "EVENT", ""}}
		for _, e := range slices.Backward(m.events) {
			rows = append(rows, []string{e.At.UTC().Format(time.TimeOnly), e.Kind, e.What})
		}
		return m.lines(rows)
	case paneProblems:
		rows := [][]string{{"LEVEL", "NODE", ""}}
		for _, f := range m.now.findings() {
			rows = append(rows, []string{f.Name, f.Node, f.What}, []string{" ", " ", f.Advice})
		}
		if len(rows) == 1 {
			rows[0] = []string{"no problems"}
		}
		return m.lines(rows)
	case paneHelp:
		return topKeys
	case paneNodes:
	}
	return m.lines(m.nodeRows())
}

var topKeys = []string{
	"KEYS",
	"n  nodes            c  connections of the node that is asked",
	"m  round trips      e  events, the newest first     p  problems",
	"s  sort the nodes by the next column                /  show only lines with a text",
	"j  down             k  up                           space  pause",
	"esc  the nodes, all of them                         q  quit",
}

// nodeRows are the nodes, sorted.
func (m top) nodeRows() [][]string {
	nodes := slices.Clone(m.now.Nodes)
	slices.SortStableFunc(nodes, func(a, b surveyed) int { return orders[m.order].compare(&m, &a, &b) })
	rows := [][]string{{"NODE", "STATE", "ROLE", "CLIENTS", "", "IN/S", "OUT/S", "MESH/S", "DROPS/S", "QUEUED", "RTT"}}
	for i := range nodes {
		n := &nodes[i]
		role := n.role()
		if n.leads() {
			role = "leader"
		}
		row := []string{n.label(), n.State, role, "", spark(m.sparks[n.Number]), "", "", "", "", "", rttText(n.RTT)}
		if n.counted() {
			row[3], row[9] = grouped(int64(n.Samples.sum("connections"))), count(uint64(n.Samples.sum("send_queue_bytes")))
		}
		if l, ok := m.loads[n.Number]; ok {
			row[5], row[6], row[7], row[8] = short(l.In), short(l.Out), short(l.Mesh), short(l.Drops)
		}
		rows = append(rows, row)
	}
	return rows
}

// lines are rows as text, without those that the filter keeps out.
func (m top) lines(rows [][]string) []string {
	var b strings.Builder
	_ = printTable(&b, rows) // a Builder takes everything
	all := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	kept := all[:1]
	for _, line := range all[1:] {
		if strings.Contains(strings.ToLower(line), strings.ToLower(m.filter)) {
			kept = append(kept, line)
		}
	}
	return kept
}

// spark draws figures as a little curve, from the least to the greatest.
func spark(figures []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	if len(figures) == 0 {
		return ""
	}
	low, high := slices.Min(figures), slices.Max(figures)
	var b strings.Builder
	for _, f := range figures {
		height := 0
		if high > low {
			height = int((f - low) / (high - low) * 7)
		}
		b.WriteRune([]rune(bars)[height])
	}
	return b.String()
}

// short formats a rate in a few characters: 0, 0.3, 12, 1.2k, 48k.
func short(rate float64) string {
	switch {
	case rate == 0:
		return "0"
	case rate < 10:
		return fmt.Sprintf("%.1f", rate)
	case rate < 1000:
		return fmt.Sprintf("%.0f", rate)
	default:
		return strings.TrimSuffix(count(uint64(rate)), "B")
	}
}

// fit cuts text to so many characters.
func fit(text string, width int) string {
	runes := []rune(text)
	if width > 0 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}
