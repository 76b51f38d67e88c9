package main

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A pane is one of the pictures of top.
type pane byte

const (
	paneNodes pane = iota
	paneConns
	paneTrips
	paneEvents
	paneProblems
	paneHelp
)

var paneKeys = map[string]pane{
	"n": paneNodes, "c": paneConns, "m": paneTrips, "e": paneEvents, "p": paneProblems, "?": paneHelp,
}

const (
	maxEvents = 500 // kept; the oldest are dropped
	maxSparks = 8   // figures of a node that its little curve shows
	maxFilter = 64  // characters
)

// A nodeLoad is what a node does, a second.
type nodeLoad struct {
	In    float64 `json:"received_messages_per_second"`
	Out   float64 `json:"sent_messages_per_second"`
	Mesh  float64 `json:"mesh_frames_per_second"`
	Drops float64 `json:"dropped_messages_per_second"`
}

// A top is the state of flamingo top: a value, which Update replaces.
type top struct {
	look     func() look
	interval time.Duration

	now    look
	loads  map[string]nodeLoad  // by node number
	sparks map[string][]float64 // connections, by node number, the newest last
	events []event              // the newest last

	pane      pane
	order     int // column of the nodes that they are sorted by
	row       int // the first that is shown
	filter    string
	filtering bool // keys go to the filter
	paused    bool

	width, height int
}

func newTop(ask func() look, interval time.Duration) top {
	return top{look: ask, interval: interval, loads: map[string]nodeLoad{}, sparks: map[string][]float64{}, width: 80, height: 24}
}

// tickMsg says that it is time to ask again.
type tickMsg struct{}

// Init implements tea.Model.
func (m top) Init() tea.Cmd { return m.wait() }

func (m top) wait() tea.Cmd {
	return tea.Tick(m.interval, func(time.Time) tea.Msg { return tickMsg{} })
}

// Update implements tea.Model.
func (m top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg:
		if m.paused {
			return m, m.wait()
		}
		ask := m.look
		return m, func() tea.Msg { return ask() }
	case look:
		return m.take(msg), m.wait()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		if m.filtering {
			return m.typed(msg.String(), msg.Text), nil
		}
		return m.pressed(msg.String())
	}
	return m, nil
}

// take returns the model with what is seen now.
func (m top) take(l look) top {
	if l.err != nil {
		m.now.err = l.err // what was seen before stays
		return m
	}
	before := m.now.survey
	m.loads, m.sparks = make(map[string]nodeLoad), newSparks(m.sparks, l.survey)
	if before == nil {
		before = &survey{}
	}
	for i := range l.Nodes {
		n := &l.Nodes[i]
		if was := before.node(n); was != nil && was.counted() && n.counted() {
			m.loads[n.Number] = loadBetween(was, n, l.At.Sub(before.At))
		}
	}
	m.events = append(slices.Clone(m.events), changes(before, l.survey)...)
	m.events = m.events[max(0, len(m.events)-maxEvents):]
	m.now = l
	return m
}

// newSparks are the little curves with one figure more, without those of nodes
// that are gone.
func newSparks(old map[string][]float64, s *survey) map[string][]float64 {
	sparks := make(map[string][]float64, len(s.Nodes))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		curve := append(slices.Clone(old[n.Number]), n.Samples.sum("connections"))
		sparks[n.Number] = curve[max(0, len(curve)-maxSparks):]
	}
	return sparks
}

// loadBetween is what a node has done between two times.
func loadBetween(was, is *surveyed, time time.Duration) nodeLoad {
	rate := func(families ...string) (total float64) {
		for _, family := range families {
			total += max(0, is.Samples.sum(family)-was.Samples.sum(family))
		}
		return total / max(time.Seconds(), 1e-3)
	}
	return nodeLoad{
		In: rate("client_received_messages_total"), Out: rate("client_sent_messages_total"),
		Mesh: rate("mesh_sent_frames_total", "mesh_received_frames_total"), Drops: rate("messages_dropped_total"),
	}
}

// pressed handles a key.
func (m top) pressed(key string) (tea.Model, tea.Cmd) {
	if p, ok := paneKeys[key]; ok {
		m.pane, m.row = p, 0
		return m, nil
	}
	switch key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "esc":
		m.pane, m.filter, m.row = paneNodes, "", 0
	case "s":
		m.order = (m.order + 1) % len(orders)
	case "/":
		m.filtering, m.filter, m.row = true, "", 0
	case "space":
		m.paused = !m.paused
	case "j", "down":
		m.row = min(m.row+1, max(0, len(m.body())-1))
	case "k", "up":
		m.row = max(0, m.row-1)
	}
	return m, nil
}

// typed handles a key while the filter is written.
func (m top) typed(key, text string) top {
	switch {
	case key == "enter":
		m.filtering = false
	case key == "esc" || key == "ctrl+c":
		m.filtering, m.filter = false, ""
	case key == "backspace":
		if runes := []rune(m.filter); len(runes) > 0 {
			m.filter = string(runes[:len(runes)-1])
		}
	case len([]rune(m.filter+text)) <= maxFilter:
		m.filter += printable(text)
	}
	return m
}

// orders are the columns that nodes can be sorted by.
var orders = []struct {
	name    string
	compare func(m *top, a, b *surveyed) int
}{
	{"age", func(*top, *surveyed, *surveyed) int { return 0 }},
	{"name", func(_ *top, a, b *surveyed) int { return strings.Compare(a.Name, b.Name) }},
	{"clients", func(_ *top, a, b *surveyed) int {
		return cmp.Compare(b.Samples.sum("connections"), a.Samples.sum("connections"))
	}},
	{"out", func(m *top, a, b *surveyed) int {
		return cmp.Compare(m.loads[b.Number].Out, m.loads[a.Number].Out)
	}},
	{"queued", func(_ *top, a, b *surveyed) int {
		return cmp.Compare(b.Samples.sum("send_queue_bytes"), a.Samples.sum("send_queue_bytes"))
	}},
}

// printJSON prints the nodes with their rates.
func (m top) printJSON(w io.Writer) error {
	type row struct {
		statusNode
		nodeLoad
	}
	rows := []row{}
	for _, n := range m.now.rows() {
		rows = append(rows, row{n, m.loads[n.Number]})
	}
	return json.NewEncoder(w).Encode(map[string]any{"nodes": rows, "findings": orEmpty(m.now.findings())})
}
