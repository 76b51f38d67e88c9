package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// topOf is a model that has seen two surveys, a second apart: 100 messages were
// written by ash meanwhile.
func topOf(t *testing.T) top {
	t.Helper()
	before, after := healthy(), healthy()
	for _, s := range []*survey{before, after} {
		n := &s.Nodes[0]
		n.Samples.Samples = append(n.Samples.Samples, sample{Name: metricPrefix + "client_sent_messages_total", Value: float64(s.At.Unix())})
	}
	after.At = before.At.Add(time.Second)
	after.Nodes[0].set("client_sent_messages_total", float64(before.At.Unix())+100)
	after.Nodes[1].set("connections", 3000)
	m := newTop(func() look { return look{survey: healthy()} }, time.Second)
	conn := connection{ID: anID, Listener: "tcp://:4100", Remote: "203.0.113.9:51522", Opened: before.At}
	return m.take(look{survey: before}).take(look{survey: after, conns: []connection{conn}})
}

// keys has the model take keys, one after the other.
func keys(t *testing.T, m top, pressed ...string) top {
	t.Helper()
	for _, key := range pressed {
		msg := tea.KeyPressMsg{Text: key}
		if len([]rune(key)) == 1 {
			msg.Code = []rune(key)[0]
		}
		switch key {
		case "enter":
			msg = tea.KeyPressMsg{Code: tea.KeyEnter}
		case "esc":
			msg = tea.KeyPressMsg{Code: tea.KeyEscape}
		case "space":
			msg = tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
		case "down":
			msg = tea.KeyPressMsg{Code: tea.KeyDown}
		}
		next, _ := m.Update(msg)
		m = next.(top)
	}
	return m
}

func TestTopShowsWhatNodesDoInASecond(t *testing.T) {
	m := topOf(t)
	picture := m.View().Content
	for _, want := range []string{
		"flamingo top · 3 nodes · 5,000 clients · 100/s written · well",
		"NODE   STATE  ROLE    CLIENTS", "ash    ready  leader  1,000    ▁▁  0     100    0 ", "birch  ready  voter   3,000    ▁█  0     0 ",
		"sort:age",
	} {
		if !strings.Contains(picture, want) {
			t.Errorf("the picture does not have %q:\n%s", want, picture)
		}
	}
	if lines := strings.Count(picture, "\n") + 1; lines != m.height {
		t.Errorf("%d lines, want %d", lines, m.height)
	}
}

func TestKeysOfTop(t *testing.T) {
	for _, test := range []struct {
		keys string
		want string // the lines that the picture begins with, without the headline
	}{
		{"c", "ID                LISTENER     REMOTE"},
		{"m", "FROM   ash    birch  cedar"},
		{"e", "AT        EVENT   -"},
		{"p", "no problems"},
		{"?", "KEYS"},
		{"? esc", "NODE   STATE"},
		{"s s", "NODE   STATE  ROLE    CLIENTS      IN/S  OUT/S  MESH/S  DROPS/S  QUEUED  RTT\nbirch "},
		{"/ c e d", "NODE   STATE  ROLE    CLIENTS      IN/S  OUT/S  MESH/S  DROPS/S  QUEUED  RTT\ncedar "},
		{"/ c e d enter down", "NODE   STATE  ROLE    CLIENTS      IN/S  OUT/S  MESH/S  DROPS/S  QUEUED  RTT\n\n"},
		{"/ c e d esc", "NODE   STATE  ROLE    CLIENTS      IN/S  OUT/S  MESH/S  DROPS/S  QUEUED  RTT\nash "},
		{"down", "NODE   STATE  ROLE    CLIENTS      IN/S  OUT/S  MESH/S  DROPS/S  QUEUED  RTT\nbirch "},
	} {
		picture := keys(t, topOf(t), strings.Fields(test.keys)...).picture()
		picture = strings.NewReplacer(styleBold, "", stylePlain, "", "    ▁▁  ", "  ").Replace(picture)
		_, picture, _ = strings.Cut(picture, "\n")
		if squeezed, want := squeeze(picture), squeeze(test.want); !strings.HasPrefix(squeezed, want) {
			t.Errorf("keys %q: the picture begins\n%s\nwant\n%s", test.keys, picture, test.want)
		}
	}
	if m := keys(t, topOf(t), "space"); !m.paused || !strings.HasPrefix(m.footer(), "paused") {
		t.Error("space does not pause")
	} else if _, ask := m.Update(tickMsg{}); ask == nil {
		t.Error("a paused model does not wait for the next tick")
	}
	if _, quit := topOf(t).Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); quit == nil || fmt.Sprintf("%T", quit()) != "tea.QuitMsg" {
		t.Error("q does not quit")
	}
}

// squeeze makes one blank, or dash between two, of many.
func squeeze(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(strings.ReplaceAll(line, " - ", " ")), " "))
	}
	return strings.Join(lines, "\n")
}

func TestTopFollowsAndForgets(t *testing.T) {
	m := topOf(t)
	_, ask := m.Update(tickMsg{})
	if ask == nil {
		t.Fatal("a tick asks nothing")
	}
	seen, ok := ask().(look)
	if !ok || seen.survey == nil {
		t.Fatalf("a tick brings %T", ask())
	}
	next, wait := m.Update(seen)
	if wait == nil || next.(top).now.survey != seen.survey {
		t.Error("what is seen is not taken, or nothing follows")
	}
	failed, _ := m.Update(look{err: errors.New("no answer from here")})
	if got := failed.(top).picture(); !strings.Contains(got, "this is old: no answer from here") || !strings.Contains(got, "cedar") {
		t.Errorf("a node that does not answer:\n%s", got)
	}
	for i := range 300 {
		s := healthy()
		s.Nodes[2].Number = fmt.Sprintf("01adc9%03x", i)
		m = m.take(look{survey: s})
	}
	if len(m.events) != maxEvents || len(m.sparks) != 3 || len(m.sparks["01adc9000"]) > maxSparks || len(m.loads) > 3 {
		t.Errorf("%d events, curves of %d nodes, loads of %d", len(m.events), len(m.sparks), len(m.loads))
	}
}

func TestTopFitsEveryWindow(t *testing.T) {
	for _, size := range []tea.WindowSizeMsg{{Width: 1, Height: 1}, {Width: 20, Height: 3}, {Width: 300, Height: 100}} {
		for _, key := range []string{"n", "c", "m", "e", "p", "?"} {
			next, _ := keys(t, topOf(t), key).Update(size)
			picture := strings.NewReplacer(styleBold, "", stylePlain, "").Replace(next.(top).picture())
			for line := range strings.Lines(picture) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > size.Width {
					t.Errorf("%dx%d, key %s: a line of %d", size.Width, size.Height, key, n)
				}
			}
		}
	}
}

func TestTopWithoutATerminalPrintsOnePicture(t *testing.T) {
	at := serveCluster(t, healthy())
	out, talk, code := command(t.Context(), "top", "--interval", "100ms", "--addr", at)
	if code != 0 || !strings.HasPrefix(out, "flamingo top · 3 nodes · 3,000 clients · 0/s written · well\nNODE   STATE  ROLE    CLIENTS") {
		t.Errorf("prints %q, says %q, exit code %d", out, talk, code)
	}
	out, talk, code = command(t.Context(), "top", "--json", "--interval", "100ms", "--addr", at)
	if code != 0 || !strings.Contains(out, `"sent_messages_per_second":0`) || !strings.Contains(out, `"name":"cedar"`) {
		t.Errorf("prints %q, says %q, exit code %d", out, talk, code)
	}
}
