package chaos_test

import (
	"testing"

	"flamingo/idspace"
	"flamingo/test/chaos"
)

// widerHistory is goodHistory with watches, groups and the ends of lives. The one
// that was killed was there when it was drained first.
func widerHistory() *chaos.History {
	h := goodHistory()
	ended := life(h, killed)
	ended.Fate, ended.Left = chaos.Quit, true
	h.Faults[1].Step.What = chaos.Draining
	ended.Records = append(ended.Records, chaos.Record{Kind: chaos.Closed, ID: atKilled, Word: "drained"})
	for _, n := range []idspace.NodeNumber{first, other} {
		l := life(h, n)
		notice := func(to idspace.ID, at int64, words ...string) {
			l.Records = append(l.Records, chaos.Record{Kind: chaos.Watched, ID: to, Begin: 5 * second, End: 5 * second})
			for _, word := range words {
				l.Records = append(l.Records, chaos.Record{Kind: chaos.Noticed, ID: to, Begin: at, End: at, Word: word})
			}
		}
		notice(atFirst, 55*second, "unreachable", "reachable")
		notice(atOther, 55*second)
		notice(left, 54*second, "closed:client", "end")
		notice(kicked, 54*second, "unreachable", "closed:sent", "end")
		notice(atKilled, 54*second, "unreachable", "closed:drained", "end")
		for _, to := range []idspace.ID{atFirst, atOther} {
			l.Records = append(l.Records, chaos.Record{Kind: chaos.Joined, ID: to, Stream: chaos.GroupElsewhere, Begin: 6 * second, End: 6 * second, Word: chaos.Accepted})
		}
	}
	for _, n := range []idspace.NodeNumber{first, other} {
		publish(h, n, 1, 20*second, "", true)
		publish(h, n, 2, 55*second, chaos.Failures(map[idspace.NodeNumber]string{first: chaos.Unreachable, other: chaos.Unreachable}), false)
		publish(h, n, 3, 70*second, "", true)
		life(h, n).Records = append(life(h, n).Records, chaos.Record{
			Kind: chaos.Sent, Begin: 75 * second, End: 75 * second, ID: atKilled, Stream: chaos.StreamData, Seq: 30, Word: chaos.Gone,
		})
	}
	return h
}

// publish has the life publish to all members.
func publish(h *chaos.History, n idspace.NodeNumber, seq int, at int64, failures string, arrives bool) {
	life(h, n).Records = append(life(h, n).Records, chaos.Record{
		Kind: chaos.Published, Stream: chaos.GroupElsewhere, Seq: seq, Begin: at, End: at, Word: failures,
	})
	for _, to := range []idspace.ID{atFirst, atOther} {
		if c := client(h, to); arrives {
			c.Got = append(c.Got, chaos.Receipt{Message: chaos.Message{From: n, Stream: chaos.GroupElsewhere, Seq: seq}, At: at})
		}
	}
}

func noticed(to idspace.ID, word string) func(chaos.Record) bool {
	return func(r chaos.Record) bool { return r.Kind == chaos.Noticed && r.ID == to && r.Word == word }
}

func published(seq int) func(chaos.Record) bool {
	return func(r chaos.Record) bool { return r.Kind == chaos.Published && r.Seq == seq }
}

// kill has the life that left have been killed instead.
func kill(h *chaos.History) {
	life(h, killed).Fate, life(h, killed).Left = chaos.Killed, false
}

func add(h *chaos.History, n idspace.NodeNumber, r chaos.Record) {
	life(h, n).Records = append(life(h, n).Records, r)
}

func TestChecksOfWatchesGroupsAndLivesFindWhatTheyAreFor(t *testing.T) {
	for name, c := range map[string]struct {
		spoil     func(h *chaos.History)
		invariant int // 0: there is nothing to find
		text      string
	}{
		"good": {func(*chaos.History) {}, 0, ""},

		"lost in a drain": {func(h *chaos.History) { lose(h, atKilled, other, chaos.StreamWait, 3) }, 13, "which its node ended, have not arrived"},
		"stranger":        {func(h *chaos.History) { add(h, first, chaos.Record{Kind: chaos.Intruded, ID: 7, Word: "no_key"}) }, 16, "a stranger with no_key"},

		"end untold":   {func(h *chaos.History) { remove(h, other, is(chaos.Noticed, left)) }, 18, "not told of the end"},
		"untold death": {func(h *chaos.History) { remove(h, first, is(chaos.Noticed, atKilled)) }, 18, "not told of the end"},
		"nobody knows": {func(h *chaos.History) {
			remove(h, first, is(chaos.Noticed, atKilled))
			life(h, killed).Fate = chaos.Wiped
		}, 0, ""},
		"told twice": {func(h *chaos.History) { record(h, first, noticed(left, "end")).Word = "closed:client" }, 18, "closed twice"},
		"told on": {func(h *chaos.History) {
			add(h, first, chaos.Record{Kind: chaos.Noticed, ID: left, Word: "reachable", End: 60 * second})
		}, 18, "behind the end"},
		"open to no end":  {func(h *chaos.History) { remove(h, first, noticed(left, "end")) }, 18, "closed, and not the end"},
		"end for nothing": {func(h *chaos.History) { remove(h, first, noticed(left, "closed:client")) }, 18, "an end without a reason"},
		"another reason": {func(h *chaos.History) {
			record(h, first, noticed(left, "closed:client")).Word = "closed:idle"
		}, 18, "its node said client"},
		"no such reason": {func(h *chaos.History) {
			record(h, first, noticed(atKilled, "closed:drained")).Word = "closed:idle"
		}, 18, "it was one of"},
		"dead before its time": {func(h *chaos.History) {
			r := record(h, first, noticed(atKilled, "closed:drained"))
			r.Word, r.End = "closed:node-ended", 49*second
		}, 18, "its node ended at"},
		"closed and there": {func(h *chaos.History) {
			add(h, first, chaos.Record{Kind: chaos.Noticed, ID: atOther, Word: "closed:idle", End: 55 * second})
		}, 18, "and the connection is there"},
		"never reached again": {func(h *chaos.History) { remove(h, first, noticed(atFirst, "reachable")) }, 18, "not told that it is reached again"},
		"unreachable without a fault": {func(h *chaos.History) {
			r := record(h, first, noticed(atFirst, "unreachable"))
			r.End = 35 * second
		}, 18, "unreachable outside of a fault"},
		"refused": {func(h *chaos.History) { record(h, first, noticed(atFirst, "unreachable")).Word = "refused" }, 18, "no notice of a connection"},
		"written after closed": {func(h *chaos.History) {
			add(h, first, chaos.Record{Kind: chaos.Sent, ID: left, Stream: chaos.StreamWait, Seq: 40, Begin: 58 * second, End: 59 * second, Word: chaos.Written})
		}, 18, "the watch had said"},

		"not published to a member": {func(h *chaos.History) { lose(h, atOther, first, chaos.GroupElsewhere, 3) }, 19, "has not got it"},
		"not even here":             {func(h *chaos.History) { lose(h, atFirst, first, chaos.GroupElsewhere, 3) }, 19, "has not got it"},
		"published twice": {func(h *chaos.History) {
			c := client(h, atOther)
			c.Got = append(c.Got, c.Got[len(c.Got)-1])
		}, 3, "twice"},
		"never published": {func(h *chaos.History) { remove(h, first, published(3)) }, 1, "never sent it"},
		"failed and there": {func(h *chaos.History) {
			record(h, first, published(3)).Word = chaos.Failures(map[idspace.NodeNumber]string{other: chaos.Unreachable})
		}, 19, "has it, and its node failed"},
		"failed without a fault": {func(h *chaos.History) {
			record(h, first, published(3)).Word = chaos.Failures(map[idspace.NodeNumber]string{other: chaos.Unreachable})
			lose(h, atOther, first, chaos.GroupElsewhere, 3)
		}, 19, "outside of a fault"},
		"lost in silence": {func(h *chaos.History) {
			record(h, first, published(2)).Word = chaos.Failures(map[idspace.NodeNumber]string{first: chaos.Unreachable})
		}, 19, "and 0 are counted as lost"},
		"lost and counted": {func(h *chaos.History) {
			record(h, first, published(2)).Word = chaos.Failures(map[idspace.NodeNumber]string{first: chaos.Unreachable})
			add(h, first, chaos.Record{Kind: chaos.Stat, Word: "group-lost", Seq: 1})
		}, 0, ""},
		"no word": {func(h *chaos.History) { record(h, first, published(2)).Word = chaos.ShutDown }, 19, "was answered closed"},

		"after a life": {func(h *chaos.History) {
			record(h, first, sent(atKilled, chaos.StreamData, 30)).Word = chaos.Unreachable
		}, 20, "and its node has ended"},
		"another number": {func(h *chaos.History) {
			life(h, killed).Fate = chaos.GivenUp
			for _, n := range []idspace.NodeNumber{first, other} { // which say so, too
				record(h, n, noticed(atKilled, "closed:drained")).Word = "closed:retired"
			}
			add(h, killed, chaos.Record{Kind: chaos.Opened, ID: id(other+5, 1)})
			add(h, killed, chaos.Record{Kind: chaos.Reborn, ID: idspace.ID(other + 5), Begin: 51 * second, End: 52 * second})
		}, 0, ""},
		"an open under another number": {func(h *chaos.History) {
			add(h, killed, chaos.Record{Kind: chaos.Opened, ID: id(other+5, 1)})
		}, 7, "no id of this node"},
		"told falsely, and killed": {func(h *chaos.History) {
			kill(h)
			add(h, killed, chaos.Record{Kind: chaos.Watched, ID: atFirst, Begin: 5 * second, End: 5 * second})
			add(h, killed, chaos.Record{Kind: chaos.Noticed, ID: atFirst, End: 20 * second, Word: "closed:idle"})
		}, 18, "and the connection is there"},
		"not told in time, and killed": {func(h *chaos.History) {
			kill(h)
			add(h, killed, chaos.Record{Kind: chaos.Watched, ID: left, Begin: 5 * second, End: 5 * second})
			client(h, left).EndedAt = 15 * second
		}, 18, "not told of the end"},
		"killed before it was told": {func(h *chaos.History) {
			kill(h)
			add(h, killed, chaos.Record{Kind: chaos.Watched, ID: left, Begin: 5 * second, End: 5 * second})
			client(h, left).EndedAt = 45 * second
		}, 0, ""},
		"published in vain, and killed": {func(h *chaos.History) {
			kill(h)
			publish(h, killed, 1, 20*second, "", false)
		}, 19, "has not got it"},
		"written in vain, and killed": {func(h *chaos.History) {
			kill(h)
			lose(h, atFirst, killed, chaos.StreamWait, 3)
		}, 6, "was written, and has not arrived"},
		"a lesser number": {func(h *chaos.History) {
			add(h, killed, chaos.Record{Kind: chaos.Reborn, ID: idspace.ID(killed - 1), Begin: 51 * second, End: 52 * second})
		}, 20, "and went on with"},
	} {
		t.Run(name, func(t *testing.T) {
			h := widerHistory()
			c.spoil(h)
			expect(t, h, c.invariant, c.text)
		})
	}
}

func TestCountsAreRead(t *testing.T) {
	got, err := chaos.ParseCounts("kill=3,drain=1")
	if err != nil || len(got) != 2 || got[chaos.Kill] != 3 || got[chaos.Draining] != 1 {
		t.Errorf("%v, %v; want 3 kills and a drain", got, err)
	}
	for _, text := range []string{"", "kill", "kill=", "kill=0", "kill=-1", "murder=1", "kill=1,", "kill=1 drain=1"} {
		if got, err := chaos.ParseCounts(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}
