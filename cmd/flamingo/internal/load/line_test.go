package load

import (
	"errors"
	"strings"
	"testing"
)

func TestEveryLineUnderWayIsAnsweredOnce(t *testing.T) {
	l := newLines(64)
	w := newWindow(17, 3)
	var sent [][]byte
	for i := range 3 {
		sent = append(sent, l.appendLine(nil, w.conn, w.begin(int64(i+1))))
	}
	if got := string(sent[2]); !strings.HasPrefix(got, "0000170002abc") || len(got) != 64 || got[63] != '\n' {
		t.Fatalf("line %q", got)
	}
	for _, i := range []int{2, 0, 1} { // in any order
		since, err := w.end(&l, sent[i])
		if err != nil || since != int64(i+1) {
			t.Errorf("reply %d: since %d, %v; want %d", i, since, err, i+1)
		}
		if _, err := w.end(&l, sent[i]); !errors.Is(err, ErrWrongReply) {
			t.Errorf("reply %d once more: %v, want ErrWrongReply", i, err)
		}
	}
	if w.out != 0 {
		t.Errorf("%d under way, want none", w.out)
	}
}

func TestIndicesDoNotCollideWhenRepliesOvertake(t *testing.T) {
	l := newLines(MinSize)
	w := newWindow(0, 4)
	stuck := l.appendLine(nil, w.conn, w.begin(1))
	for i := range 1000 {
		line := l.appendLine(nil, w.conn, w.begin(2))
		if string(line) == string(stuck) {
			t.Fatalf("line %d is the one that is stuck: %q", i, line)
		}
		if _, err := w.end(&l, line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.end(&l, stuck); err != nil {
		t.Error(err)
	}
}

func TestRepliesThatWereNotSentAreRefused(t *testing.T) {
	l := newLines(32)
	for _, tt := range []struct{ name, from, to string }{
		{"another connection", "000001", "000002"},
		{"an index that is not under way", "0000010000", "0000010001"},
		{"an index beyond all", "0000010000", "0000019999"},
		{"no index", "0000010000", "00000100x0"},
		{"changed filler", "klm", "klx"},
		{"changed end", "\n", "\r"},
	} {
		w := newWindow(1, 2)
		line := string(l.appendLine(nil, w.conn, w.begin(1)))
		reply := strings.Replace(line, tt.from, tt.to, 1)
		if reply == line {
			t.Fatalf("%s: %q is not in %q", tt.name, tt.from, line)
		}
		if _, err := w.end(&l, []byte(reply)); !errors.Is(err, ErrWrongReply) {
			t.Errorf("%s: %q: %v, want ErrWrongReply", tt.name, reply, err)
		}
	}
}

func TestInputIsCutWhereverItIsTorn(t *testing.T) {
	const size = 4
	for _, tt := range []struct {
		greeting, in string
		want         string
	}{
		{"", "abc\ndef\ngh", "abc\n def\n"},
		{"hi ", "hi there\nabc\nde", "abc\n"},
		{"hi ", "abc\ndef\n", "abc\n def\n"},
		{"", "ab\n", "ab\n"}, // too short: it is told as it is
		{"", "abcdefg\n", "abcd efg\n"},
	} {
		for torn := 1; torn <= len(tt.in); torn++ {
			var in input
			var got []string
			stop := errors.New("stop")
			each := func(line []byte) error {
				got = append(got, string(line))
				if len(line) != size {
					return stop
				}
				return nil
			}
			for data := tt.in; data != ""; data = data[min(torn, len(data)):] {
				if in.cut([]byte(data[:min(torn, len(data))]), size, tt.greeting, each) != nil {
					break
				}
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("%q torn at %d: %q, want %q", tt.in, torn, got, tt.want)
			}
		}
	}
}

func TestLatenciesCountFromWhenEachWasDue(t *testing.T) {
	m := newMeter(0, 1e9)
	s := newSchedule(1000)
	if got := s.by(5e6); got != 5 {
		t.Errorf("due after 5 ms at 1,000 a second: %d, want 5", got)
	}
	// A server that stands still for a whole second and then answers at once.
	for k := range int64(1000) {
		m.record(s.at(k), 1e9-1)
	}
	r := m.result(s.has())
	if r.Done != 1000 || r.Latency.P50 < 490e3 || r.Latency.P50 > 510e3 || r.Latency.Max < 990e3 {
		t.Errorf("%+v, want a median of half a second, and one of a second", r)
	}
}
