//go:build linux

package worker

import (
	"errors"
	"testing"
)

// made are messages of a size, each with its header.
func made(size int, headers ...header) (b []byte) {
	for _, h := range headers {
		msg := make([]byte, size)
		h.size = uint32(size)
		h.put(msg)
		b = append(b, msg...)
	}
	return b
}

func numbered(seqs ...uint64) (all []header) {
	for _, seq := range seqs {
		all = append(all, header{run: 1, to: 7, seq: seq})
	}
	return all
}

func TestReceiverCountsWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		sent []header
		want Tally
	}{
		{"in order", numbered(0, 1, 2, 3), Tally{Messages: 4}},
		{"lost", numbered(0, 2, 3), Tally{Messages: 3}},
		{"doubled", numbered(0, 1, 1, 0, 2), Tally{Messages: 5, Doubled: 2}},
		{"out of order", numbered(0, 2, 1, 3), Tally{Messages: 4, Disordered: 1}},
		{"out of order, then doubled", numbered(2, 0, 1, 1), Tally{Messages: 4, Disordered: 2, Doubled: 1}},
		{"far behind", numbered(100, 1), Tally{Messages: 2, Doubled: 1}},
		{"a large gap", numbered(0, 1<<40, 1), Tally{Messages: 3, Doubled: 1}},
		{"foreign", append(numbered(0), header{run: 1, to: 8}), Tally{Messages: 2, Foreign: 1}},
		{"to all", []header{{run: 1, to: toAll}, {run: 1, to: toAll, seq: 1}}, Tally{Messages: 2}},
		{"next run", append(numbered(0, 1), header{run: 2, to: 7}), Tally{Messages: 3}},
		{"of an ended run", append(numbered(0), header{run: 2, to: 7}, header{run: 1, to: 7, seq: 1}), Tally{Messages: 3, Disordered: 1}},
	} {
		for _, size := range []int{HeaderBytes, 64, 1000} {
			b := made(size, c.sent...)
			for _, cut := range []int{1, 31, 33, 100, len(b)} {
				var (
					r   Receiver
					got Tally
				)
				for rest := b; len(rest) > 0; rest = rest[min(cut, len(rest)):] {
					if err := r.Take(rest[:min(cut, len(rest))], &got, nil); err != nil {
						t.Fatalf("%s, size %d, pieces of %d: %v", c.name, size, cut, err)
					}
				}
				if got != c.want {
					t.Errorf("%s, size %d, pieces of %d: %+v, want %+v", c.name, size, cut, got, c.want)
				}
			}
		}
	}
}

func TestReceiverTellsWhenMessagesWereSent(t *testing.T) {
	var (
		r     Receiver
		tally Tally
		got   []uint64
	)
	b := made(40, header{run: 1, at: 5}, header{run: 1, seq: 1}, header{run: 1, seq: 2, at: 9})
	if err := r.Take(b, &tally, func(at uint64) { got = append(got, at) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != 5 || got[1] != 9 {
		t.Errorf("times %v, want 5 and 9", got)
	}
}

func TestReceiverRefusesWhatIsNoMessage(t *testing.T) {
	var (
		r     Receiver
		tally Tally
	)
	if err := r.Take(make([]byte, 64), &tally, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("of zeroes: %v, want %v", err, ErrMalformed)
	}
}
