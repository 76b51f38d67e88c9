package chaos_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/test/chaos"
)

const second = int64(time.Second)

// The numbers of goodHistory: two nodes that live, and a life that was killed.
const (
	first  = idspace.NodeNumber(100)
	other  = idspace.NodeNumber(101)
	killed = idspace.NodeNumber(99)
)

func id(n idspace.NodeNumber, serial int) idspace.ID {
	return idspace.ID(n)<<idspace.SerialBits | idspace.ID(serial)
}

var (
	atFirst  = id(first, 1) // open to the end
	atOther  = id(other, 1) // open to the end
	left     = id(other, 2) // its client left
	kicked   = id(first, 2) // closed by its node
	atKilled = id(killed, 1)
)

const messages = 12 // of each sender to each connection, every fourth one with Send

// goodHistory is one without a violation. At 50 s a fault begins that may cost
// messages, and ends at 60 s.
func goodHistory() *chaos.History {
	h := &chaos.History{Faults: []chaos.Fault{
		{Step: chaos.Step{What: chaos.Abort}, Nodes: []int{0, 1}, Begin: 30 * second, End: 40 * second, Lossless: true},
		{Step: chaos.Step{What: chaos.Kill}, Nodes: []int{0, 1}, Begin: 50 * second, End: 60 * second},
	}}
	for i, n := range []idspace.NodeNumber{killed, first, other} {
		l := &chaos.Life{Node: i % 2, Number: n, Start: int64(i) * second}
		l.Records = append(l.Records, chaos.Record{Kind: chaos.Number, ID: idspace.ID(n), End: int64(i)*second + 1})
		if n == killed {
			l.End = 50 * second
		}
		h.Lives = append(h.Lives, l)
	}
	for _, to := range []idspace.ID{atKilled, atFirst, kicked, atOther, left} {
		c := &chaos.Client{ID: to, Sent: 2, Ended: to != atFirst && to != atOther}
		h.Clients = append(h.Clients, c)
		owner := life(h, to.Node())
		owner.Records = append(owner.Records, chaos.Record{Kind: chaos.Opened, ID: to},
			chaos.Record{Kind: chaos.Data, ID: to, Seq: 1}, chaos.Record{Kind: chaos.Data, ID: to, Seq: 2})
		for _, l := range h.Lives {
			converse(l, c)
		}
	}
	life(h, other).Records = append(life(h, other).Records, chaos.Record{Kind: chaos.Closed, ID: left, Word: "client"})
	life(h, first).Records = append(life(h, first).Records, chaos.Record{Kind: chaos.Kicked, ID: kicked, Word: chaos.Accepted})
	for _, l := range h.Lives {
		stats := map[string]int{"accepted": 2, "connections": 1, "closed": 1, "messages-in": 4, "messages-out": 1000, "undelivered": 2}
		if l.Number == first {
			stats["closed-by-us"] = 1
		}
		for name, v := range stats {
			l.Records = append(l.Records, chaos.Record{Kind: chaos.Stat, Word: name, Seq: v})
		}
	}
	return h
}

// converse has the life send to the client: messages that arrive, and within the
// fault one that is uncertain and arrives, two that are reported of which one
// arrives, one refused.
func converse(l *chaos.Life, c *chaos.Client) {
	say := func(at int64, stream byte, seq int, word string, arrives bool) {
		l.Records = append(l.Records, chaos.Record{Kind: chaos.Sent, Begin: at, End: at + 1, ID: c.ID, Stream: stream, Seq: seq, Word: word})
		if arrives {
			c.Got = append(c.Got, chaos.Receipt{Message: chaos.Message{To: c.ID, From: l.Number, Stream: stream, Seq: seq}, At: at})
		}
	}
	for seq := 1; seq <= messages; seq++ {
		if seq%4 == 0 {
			say(10*second, chaos.StreamWait, seq/4, chaos.Written, true)
		} else {
			say(10*second, chaos.StreamData, seq, chaos.Accepted, true)
		}
	}
	if c.ID != atFirst && c.ID != atOther {
		say(55*second, chaos.StreamData, 20, chaos.Gone, false)
		return
	}
	say(55*second, chaos.StreamData, 21, chaos.Uncertain, true)
	say(55*second, chaos.StreamData, 22, chaos.Accepted, false)
	say(55*second, chaos.StreamData, 23, chaos.Unreachable, false)
	say(70*second, chaos.StreamData, 24, chaos.Accepted, true)
	l.Records = append(l.Records, chaos.Record{Kind: chaos.Undelivered, Begin: 56 * second, End: 56 * second, ID: c.ID, Word: chaos.Uncertain})
}

func life(h *chaos.History, n idspace.NodeNumber) *chaos.Life {
	return h.Lives[slices.IndexFunc(h.Lives, func(l *chaos.Life) bool { return l.Number == n })]
}

func client(h *chaos.History, to idspace.ID) *chaos.Client {
	return h.Clients[slices.IndexFunc(h.Clients, func(c *chaos.Client) bool { return c.ID == to })]
}

// record is the first record of the life that the function chooses.
func record(h *chaos.History, n idspace.NodeNumber, choose func(chaos.Record) bool) *chaos.Record {
	l := life(h, n)
	return &l.Records[slices.IndexFunc(l.Records, choose)]
}

func sent(to idspace.ID, stream byte, seq int) func(chaos.Record) bool {
	return func(r chaos.Record) bool {
		return r.Kind == chaos.Sent && r.ID == to && r.Stream == stream && r.Seq == seq
	}
}

func lose(h *chaos.History, to idspace.ID, from idspace.NodeNumber, stream byte, seq int) {
	c := client(h, to)
	c.Got = slices.DeleteFunc(c.Got, func(r chaos.Receipt) bool { return r.From == from && r.Stream == stream && r.Seq == seq })
}

func is(kind chaos.Kind, to idspace.ID) func(chaos.Record) bool {
	return func(r chaos.Record) bool { return r.Kind == kind && r.ID == to }
}

func remove(h *chaos.History, n idspace.NodeNumber, choose func(chaos.Record) bool) {
	life(h, n).Records = slices.DeleteFunc(life(h, n).Records, choose)
}

func TestChecksFindWhatTheyAreFor(t *testing.T) {
	for name, c := range map[string]struct {
		spoil     func(h *chaos.History)
		invariant int // 0: there is nothing to find
		text      string
	}{
		"good": {func(*chaos.History) {}, 0, ""},

		"for another": {func(h *chaos.History) { client(h, atFirst).Got[0].To = atOther }, 1, "received message 1"},
		"never sent":  {func(h *chaos.History) { remove(h, other, sent(atFirst, chaos.StreamData, 2)) }, 1, "never sent"},
		"swapped": {func(h *chaos.History) {
			g := client(h, atFirst).Got
			g[0], g[1] = g[1], g[0]
		}, 2, "after 2"},
		"twice": {func(h *chaos.History) {
			c := client(h, atFirst)
			c.Got = append(c.Got, c.Got[0])
		}, 3, "twice"},
		"damaged at a client": {func(h *chaos.History) { client(h, left).Damage = []string{"half"} }, 4, "half"},
		"damaged at a node":   {func(h *chaos.History) { record(h, first, is(chaos.Data, atFirst)).Word = "half" }, 4, "half"},

		"hole": {func(h *chaos.History) { lose(h, left, other, chaos.StreamData, 2) }, 5, "later ones have"},
		"after gone": {func(h *chaos.History) {
			record(h, other, sent(atFirst, chaos.StreamData, 23)).Word = chaos.Gone
		}, 5, "was answered gone"},

		"lost in silence": {func(h *chaos.History) {
			remove(h, other, is(chaos.Undelivered, atFirst))
		}, 6, "and 0 are reported"},
		"the last one lost in silence": {func(h *chaos.History) { lose(h, atFirst, other, chaos.StreamData, 24) }, 6, "and 1 are reported"},
		"reported and delivered": {func(h *chaos.History) {
			record(h, other, is(chaos.Undelivered, atFirst)).Word = chaos.Gone
			client(h, atFirst).Got = append(client(h, atFirst).Got, chaos.Receipt{Message: chaos.Message{To: atFirst, From: other, Stream: chaos.StreamData, Seq: 22}})
		}, 6, "reported as not delivered"},
		"written and lost":  {func(h *chaos.History) { lose(h, atFirst, other, chaos.StreamWait, 3) }, 6, "was written, and has not arrived"},
		"refused and there": {func(h *chaos.History) { record(h, other, sent(atFirst, chaos.StreamData, 24)).Word = chaos.Unreachable }, 6, "refused as unreachable, and has arrived"},
		"gone and there":    {func(h *chaos.History) { record(h, other, sent(atFirst, chaos.StreamData, 23)).Word = chaos.Gone }, 6, "the connection is there"},
		"no outcome":        {func(h *chaos.History) { record(h, other, sent(atFirst, chaos.StreamData, 23)).Word = "no_outcome" }, 6, "answered no_outcome"},
		"never issued":      {func(h *chaos.History) { record(h, other, sent(atFirst, chaos.StreamWait, 3)).Word = chaos.NeverIssued }, 6, "answered never-issued"},
		"late": {func(h *chaos.History) {
			r := record(h, other, sent(atFirst, chaos.StreamData, 24))
			r.Begin, r.End = 61*second, 90*second
		}, 6, "to be answered"},
		"uncertain when links flap": {func(h *chaos.History) {
			r := record(h, other, sent(atFirst, chaos.StreamData, 21))
			r.Begin, r.End = 35*second, 36*second
		}, 6, "answered uncertain, outside"},
		"unreachable without a fault": {func(h *chaos.History) {
			r := record(h, other, sent(atFirst, chaos.StreamData, 23))
			r.Begin, r.End = 70*second, 71*second
		}, 6, "answered unreachable, outside"},
		"reported when links flap": {func(h *chaos.History) {
			r := record(h, other, is(chaos.Undelivered, atFirst))
			r.Begin, r.End = 35*second, 35*second
		}, 6, "reported as uncertain, outside"},

		"left, and lost in silence": {func(h *chaos.History) {
			life(h, killed).Left = true
			remove(h, killed, is(chaos.Undelivered, atFirst))
		}, 6, "and 0 are reported"},
		"closed by a node that is not": {func(h *chaos.History) {
			record(h, other, sent(atFirst, chaos.StreamData, 23)).Word = chaos.ShutDown
		}, 6, "by a node that is not"},
		"left in order": {func(h *chaos.History) { life(h, killed).Left = true }, 0, ""},

		"never closed": {func(h *chaos.History) { remove(h, other, is(chaos.Closed, left)) }, 7, "closed 0 times"},
		"closed twice": {func(h *chaos.History) {
			life(h, other).Records = append(life(h, other).Records, chaos.Record{Kind: chaos.Closed, ID: left})
		}, 7, "closed 2 times"},
		"closed and there": {func(h *chaos.History) {
			life(h, other).Records = append(life(h, other).Records, chaos.Record{Kind: chaos.Closed, ID: atOther, Word: "idle"})
		}, 7, "closed 1 times (idle), want 0"},
		"told of its own close": {func(h *chaos.History) {
			life(h, first).Records = append(life(h, first).Records, chaos.Record{Kind: chaos.Closed, ID: kicked})
		}, 7, "want 0"},
		"message after the close": {func(h *chaos.History) {
			life(h, other).Records = append(life(h, other).Records, chaos.Record{Kind: chaos.Data, ID: left, Seq: 3})
		}, 7, "message 3 after the close"},
		"never opened":   {func(h *chaos.History) { remove(h, first, is(chaos.Opened, atFirst)) }, 7, "before the open"},
		"unknown":        {func(h *chaos.History) { client(h, atFirst).ID = id(first, 77) }, 7, "no open"},
		"skipped inside": {func(h *chaos.History) { remove(h, first, is(chaos.Data, atFirst)) }, 7, ""},
		"input lost":     {func(h *chaos.History) { client(h, atFirst).Sent = 3 }, 7, "its client has sent 3"},
		"opened twice by a killed one": {func(h *chaos.History) {
			life(h, killed).Records = append(life(h, killed).Records, chaos.Record{Kind: chaos.Opened, ID: atKilled})
		}, 7, "opened 2 times"},
		"id of another": {func(h *chaos.History) {
			life(h, killed).Records = append(life(h, killed).Records, chaos.Record{Kind: chaos.Opened, ID: id(first, 50)})
		}, 7, "no id of this node"},

		"number twice": {func(h *chaos.History) {
			life(h, first).Records = append(life(h, first).Records, chaos.Record{Kind: chaos.Raced, ID: idspace.ID(killed), Begin: second, End: 2 * second})
		}, 8, "granted twice"},
		"number that went down": {func(h *chaos.History) {
			life(h, first).Records = append(life(h, first).Records, chaos.Record{Kind: chaos.Raced, ID: 50, Begin: 20 * second, End: 21 * second})
		}, 8, "not linearizable"},
		"id twice": {func(h *chaos.History) { client(h, left).ID = atOther }, 8, "was issued twice"},

		"accepted and not opened": {func(h *chaos.History) { record(h, first, isStat("accepted")).Seq++ }, 17, "accepted is not connections and closed"},
		"closed without a word": {func(h *chaos.History) {
			record(h, other, isStat("closed")).Seq++
			record(h, other, isStat("connections")).Seq--
		}, 17, "closed is not the closes recorded"},
		"input unaccounted":  {func(h *chaos.History) { record(h, other, isStat("messages-in")).Seq++ }, 17, "messages-in"},
		"output unaccounted": {func(h *chaos.History) { record(h, other, isStat("messages-out")).Seq = 3 }, 17, "messages-out"},
		"losses unaccounted": {func(h *chaos.History) { record(h, other, isStat("undelivered")).Seq++ }, 17, "undelivered"},
		"no counts":          {func(h *chaos.History) { remove(h, other, func(r chaos.Record) bool { return r.Kind == chaos.Stat }) }, 17, "no counts"},
	} {
		t.Run(name, func(t *testing.T) {
			h := goodHistory()
			c.spoil(h)
			expect(t, h, c.invariant, c.text)
		})
	}
}

// expect wants a violation of an invariant that has the text among those of the
// history; none at all for invariant 0.
func expect(t *testing.T, h *chaos.History, invariant int, text string) {
	t.Helper()
	found := h.Violations()
	if invariant == 0 && len(found) > 0 {
		t.Errorf("found %v in a good history", found)
	}
	if invariant != 0 && !slices.ContainsFunc(found, func(v chaos.Violation) bool {
		return v.Invariant == invariant && strings.Contains(v.Text, text)
	}) {
		t.Errorf("found %v, want invariant %d: %q", found, invariant, text)
	}
}

func isStat(name string) func(chaos.Record) bool {
	return func(r chaos.Record) bool { return r.Kind == chaos.Stat && r.Word == name }
}

func TestPlanFollowsFromItsSeed(t *testing.T) {
	for seed := range uint64(100) {
		for _, counts := range []chaos.Counts{chaos.PerRun, chaos.PerTenMinutes} {
			plan := chaos.Plan(seed, 3, counts)
			if again := chaos.Plan(seed, 3, counts); !slices.Equal(plan, again) {
				t.Fatalf("seed %d: %v, then %v", seed, plan, again)
			}
			if next := chaos.Plan(seed+1, 3, counts); slices.Equal(plan, next) {
				t.Fatalf("seeds %d and %d have one plan", seed, seed+1)
			}
			got := chaos.Counts{}
			wiped := false
			for _, s := range plan {
				if s.What == chaos.Abort || s.What == chaos.Grants {
					got[s.What] += s.Times
				} else {
					got[s.What]++
				}
				if s.What != chaos.Lead && (s.Node < 0 || s.Node > 2 || s.Peer < 0 || s.Peer > 2 || s.Node == s.Peer) {
					t.Errorf("seed %d: %v", seed, s)
				}
				if wiped = wiped || s.What == chaos.Wipe; wiped && s.What != chaos.Wipe && s.What != chaos.Kill {
					t.Errorf("seed %d: %v after a wipe", seed, s)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(counts) {
				t.Errorf("seed %d: %v, want %v", seed, got, counts)
			}
		}
	}
}

func TestRecordsAndMessagesComeBack(t *testing.T) {
	r := chaos.Record{Kind: chaos.Sent, Begin: 5, End: -6, ID: atFirst, Stream: 'd', Seq: 7, Word: "two_words"}
	if got, err := chaos.ParseRecord(strings.TrimSuffix(string(r.Append(nil)), "\n")); err != nil || got != r {
		t.Errorf("%+v, %v; want %+v", got, err, r)
	}
	for n := range len(r.Append(nil)) - 1 {
		if got, err := chaos.ParseRecord(string(r.Append(nil)[:n])); err == nil {
			t.Errorf("the first %d bytes are %+v", n, got)
		}
	}
	for _, size := range []int{0, 100, 70_000} {
		m := chaos.Message{To: atFirst, From: other, Stream: 'w', Seq: 33}
		line := m.Append(nil, size)
		if got, err := chaos.ParseMessage(line); err != nil || got != m || len(line) < size {
			t.Errorf("%d bytes: %+v, %v; want %+v", len(line), got, err, m)
		}
		for i := range min(len(line), 200) {
			bad := slices.Clone(line)
			bad[i] ^= 1
			if got, err := chaos.ParseMessage(bad); err == nil {
				t.Errorf("with byte %d changed: %+v", i, got)
			}
		}
		if got, err := chaos.ParseMessage(append(line[:20:20], line...)); err == nil {
			t.Errorf("spliced: %+v", got)
		}
	}
}
