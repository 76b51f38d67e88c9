//go:build linux

package worker

import (
	"testing"
	"time"
)

func TestBucketsKeepTimesToAPart(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 63, 64, 127, 128, 129, 1000, 71_234, 1e6, 123_456_789, 1e12} {
		got := lowest(bucketOf(uint64(d)))
		if got > d || d-got > d/64+1 {
			t.Errorf("%d ns: kept as %d ns", d, got)
		}
	}
}

func TestQuantilesAreOfWhatWasAdded(t *testing.T) {
	var l latencies
	snapshot := func() (s Latencies) {
		for i := range l {
			s = append(s, l[i].Load())
		}
		return s
	}
	l.add(time.Hour) // over the range: in the last bucket
	from := snapshot()
	for d := range 100 {
		l.add(time.Duration(d))
	}
	got := snapshot().Since(from)
	if p50, p99 := got.Quantile(0.5), got.Quantile(0.99); p50 != 49 || p99 != 98 {
		t.Errorf("p50 %d, p99 %d; want 49, 98", p50, p99)
	}
	if none := from.Since(from).Quantile(0.5); none != 0 {
		t.Errorf("of none: %v", none)
	}
}
