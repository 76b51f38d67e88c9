package test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"

	"flamingo/node"
)

// A message says who sent it, to which connection, and which one it is. To is zero
// if it went to several.
type message struct {
	To   node.ID
	From node.NodeNumber
	Seq  int
}

func (m message) text() string { return fmt.Sprintf("%d %d %d", uint64(m.To), uint64(m.From), m.Seq) }

func (m message) encode() []byte {
	text := m.text()
	return fmt.Appendf(nil, "%s %08x", text, crc32.ChecksumIEEE([]byte(text)))
}

func decodeMessage(line []byte) (m message, err error) {
	var to, from uint64
	var sum uint32
	if _, err := fmt.Sscanf(string(line), "%d %d %d %08x", &to, &from, &m.Seq, &sum); err != nil {
		return m, fmt.Errorf("received %.100q: %w", line, err)
	}
	m.To, m.From = node.ID(to), node.NodeNumber(from)
	if !bytes.Equal(line, m.encode()) {
		return m, fmt.Errorf("received %.100q, want %q", line, m.encode())
	}
	return m, nil
}

// greeting begins the first line that a client of a member receives; its id
// follows.
const greeting = "hello "

// written is the word for a message that its owner has written to the socket.
const written = "written"

// sayings are what one life of a node was told of its numbered messages, by
// connection.
type sayings map[node.ID]map[int]string

func (s sayings) add(id node.ID, seq int, word string) {
	if s[id] == nil {
		s[id] = map[int]string{}
	}
	s[id][seq] = word
}

// reports are how many messages Undelivered has told of, by connection and outcome.
type reports map[node.ID]map[string]int

func (r reports) add(id node.ID, word string) {
	if r[id] == nil {
		r[id] = map[string]int{}
	}
	r[id][word]++
}

func (r reports) clone() reports {
	c := reports{}
	for id, counts := range r {
		c[id] = maps.Clone(counts)
	}
	return c
}

// A history is what the clients of a run have received, and what the senders that
// live at its end have said.
type history struct {
	arrived  map[node.ID][]message       // what each connection has received, in its order
	ended    map[node.ID]bool            // its owner was killed: what it had accepted may be lost
	said     map[node.NodeNumber]sayings // by sender
	reported map[node.ID]map[string]int  // by all that live, together
}

func newHistory() *history {
	return &history{
		arrived: map[node.ID][]message{}, ended: map[node.ID]bool{},
		said: map[node.NodeNumber]sayings{}, reported: reports{},
	}
}

// faults returns what must not have happened, a sentence each.
func (h *history) faults() (all []string) {
	for id, messages := range h.arrived {
		all = append(all, h.misplaced(id, messages)...)
	}
	accounts := map[node.ID]account{}
	for from, said := range h.said {
		for id, words := range said {
			var a account
			for _, m := range h.arrived[id] {
				if m.From == from {
					a.arrived(words[m.Seq], func(fault string) {
						all = append(all, fmt.Sprintf("message %d of %s to %s %s", m.Seq, from, id, fault))
					})
				}
			}
			for seq, word := range words {
				if a.said(word); word == written && !slices.ContainsFunc(h.arrived[id], func(m message) bool { return m.From == from && m.Seq == seq }) {
					all = append(all, fmt.Sprintf("message %d of %s to %s was written, and has not arrived", seq, from, id))
				}
			}
			accounts[id] = accounts[id].plus(a)
		}
	}
	for id, a := range accounts {
		if fault := a.fault(h.reported[id]); fault != "" && !h.ended[id] {
			all = append(all, fmt.Sprintf("connection %s: %s", id, fault))
		}
	}
	return all
}

// misplaced finds what one connection should not have received, or not there.
func (h *history) misplaced(id node.ID, messages []message) (all []string) {
	last := map[node.NodeNumber]int{}
	for _, m := range messages {
		if m.To != 0 && m.To != id {
			all = append(all, fmt.Sprintf("connection %s received message %d of %s to %s", id, m.Seq, m.From, m.To))
		}
		switch before := last[m.From]; {
		case m.Seq == before:
			all = append(all, fmt.Sprintf("connection %s received message %d of %s twice", id, m.Seq, m.From))
		case m.Seq < before:
			all = append(all, fmt.Sprintf("connection %s received message %d of %s after %d", id, m.Seq, m.From, before))
		}
		last[m.From] = max(last[m.From], m.Seq)
		if said, known := h.said[m.From]; known && said[id] == nil {
			all = append(all, fmt.Sprintf("connection %s received message %d of %s, which has sent it none", id, m.Seq, m.From))
		}
	}
	return all
}

// An account is how many messages to one connection were accepted for it and how
// many of those it has received.
type account struct{ accepted, received int }

func (a account) plus(b account) account {
	return account{a.accepted + b.accepted, a.received + b.received}
}

func (a *account) said(word string) {
	if word == accepted {
		a.accepted++
	}
}

func (a *account) arrived(word string, fault func(string)) {
	switch word {
	case accepted:
		a.received++
	case written, uncertain:
	case "":
		fault("was never sent, and has arrived")
	default:
		fault("was refused as " + word + ", and has arrived")
	}
}

// fault compares what is missing with what was reported.
func (a account) fault(reported map[string]int) string {
	missing, all := a.accepted-a.received, 0
	for _, n := range reported {
		all += n
	}
	switch certain := all - reported[uncertain]; {
	case missing > all:
		return fmt.Sprintf("%d accepted messages have not arrived, and %d are reported", missing, all)
	case missing < certain:
		return fmt.Sprintf("%d accepted messages have not arrived, and %d are reported as not delivered", missing, certain)
	}
	return ""
}

// goodHistory is one without a fault: two senders, two connections, and one that
// ended.
func goodHistory() *history {
	h := newHistory()
	const a, b, gonner = node.ID(1<<28 | 1), node.ID(2<<28 | 1), node.ID(3<<28 | 1)
	h.ended[gonner] = true
	for _, from := range []node.NodeNumber{1, 2} {
		h.said[from] = sayings{}
		for _, to := range []node.ID{a, b, gonner} {
			for seq := 1; seq <= 10; seq++ {
				h.said[from].add(to, seq, accepted)
				if to != gonner || seq < 5 {
					h.arrived[to] = append(h.arrived[to], message{to, from, seq})
				}
			}
			h.said[from].add(to, 11, unreachable)
			h.said[from].add(to, 12, written)
			h.arrived[to] = append(h.arrived[to], message{to, from, 12})
			h.said[from].add(to, 13, accepted) // and reported
			h.said[from].add(to, 14, uncertain)
			h.said[from].add(to, 15, accepted) // reported as uncertain, and delivered
			h.arrived[to] = append(h.arrived[to], message{0, from, 15})
			h.reported[to] = map[string]int{gone: 2, uncertain: 2}
		}
	}
	h.arrived[a] = append(h.arrived[a], message{a, 7, 2}, message{a, 7, 4}) // of a sender that was killed
	return h
}

func TestHistoryChecksFindWhatTheyAreFor(t *testing.T) {
	const a, b = node.ID(1<<28 | 1), node.ID(2<<28 | 1)
	for name, c := range map[string]struct {
		corrupt func(h *history)
		want    string
	}{
		"nothing":    {func(*history) {}, ""},
		"drop":       {func(h *history) { h.arrived[a] = slices.Delete(h.arrived[a], 3, 6) }, "have not arrived"},
		"drop last":  {func(h *history) { h.arrived[b] = h.arrived[b][:len(h.arrived[b])-3] }, "was written, and has not arrived"},
		"swap":       {func(h *history) { m := h.arrived[a]; m[3], m[4] = m[4], m[3] }, "after 5"},
		"duplicate":  {func(h *history) { h.arrived[a] = slices.Insert(h.arrived[a], 4, h.arrived[a][3]) }, "twice"},
		"late twin":  {func(h *history) { h.arrived[a] = append(h.arrived[a], h.arrived[a][3]) }, "after 15"},
		"misdeliver": {func(h *history) { h.arrived[a] = append(h.arrived[a], message{b, 7, 20}) }, "received message 20 of 000000007 to " + b.String()},
		"refused":    {func(h *history) { h.arrived[a] = slices.Insert(h.arrived[a], 10, message{a, 1, 11}) }, "refused as unreachable"},
		"never sent": {func(h *history) { h.arrived[a] = append(h.arrived[a], message{a, 1, 99}) }, "never sent"},
		"to nobody":  {func(h *history) { h.arrived[9] = []message{{9, 1, 1}} }, "has sent it none"},
		"written": {func(h *history) {
			h.arrived[b] = slices.DeleteFunc(h.arrived[b], func(m message) bool { return m.Seq == 12 && m.From == 2 })
		}, "was written, and has not arrived"},
		"written to one that ended": {func(h *history) {
			const ended = node.ID(3<<28 | 1)
			h.arrived[ended] = slices.DeleteFunc(h.arrived[ended], func(m message) bool { return m.Seq == 12 && m.From == 2 })
		}, "was written, and has not arrived"},
		"false report":  {func(h *history) { h.reported[a][gone] += 3 }, "reported as not delivered"},
		"lost report":   {func(h *history) { h.reported[b] = nil }, "and 0 are reported"},
		"order per one": {func(h *history) { h.arrived[a] = append(h.arrived[a], message{a, 7, 3}) }, "message 3 of 000000007 after 4"},
	} {
		t.Run(name, func(t *testing.T) {
			h := goodHistory()
			c.corrupt(h)
			got := strings.Join(h.faults(), "; ")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestDamagedMessagesAreFound(t *testing.T) {
	m := message{To: 1<<28 | 5, From: 9, Seq: 77}
	if got, err := decodeMessage(m.encode()); err != nil || got != m {
		t.Fatalf("decoded %v, %v; want %v", got, err, m)
	}
	for i := range m.encode() {
		line := m.encode()
		line[i] ^= 1
		if got, err := decodeMessage(line); err == nil {
			t.Errorf("%q decodes as %v", line, got)
		}
	}
	spliced := append(m.encode()[:10], m.encode()...)
	if got, err := decodeMessage(spliced); err == nil {
		t.Errorf("%q decodes as %v", spliced, got)
	}
}
