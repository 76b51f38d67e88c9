package consensus_test

import (
	"testing"
	"time"

	"flamingo/cluster/consensus"
)

func TestFloodOfRefusedStreamsIsToldOfOnceAMinute(t *testing.T) {
	var n consensus.RefusalNotices
	begin := time.Unix(0, 0)
	type told struct {
		at     time.Duration
		untold uint64
	}
	var got []told
	count := uint64(0)
	for at := time.Duration(0); at <= 2*time.Minute; at += time.Second { // three in each second
		for range 3 {
			count++
			if untold, due := n.Due(consensus.RefusedFormat, count, begin.Add(at)); due {
				got = append(got, told{at, untold})
			}
		}
	}
	want := []told{{0, 0}, {time.Minute, 179}, {2 * time.Minute, 179}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("told of %v, want %v", got, want)
	}
	if untold, due := n.Due(consensus.RefusedTimeout, 1, begin.Add(2*time.Minute)); !due || untold != 0 {
		t.Errorf("the first for another reason: %d, %t; want it told of", untold, due)
	}
	if _, due := n.Due(consensus.RefusedFormat, 1, begin.Add(time.Hour)); due {
		t.Error("one that was counted before the last was told of")
	}
}
