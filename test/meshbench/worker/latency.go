//go:build linux

package worker

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latencies is a histogram of times from 1 ns to 18 minutes: 64 buckets for each
// doubling, so that what is read from it is at most 1.6 % too low.
type latencies [latencyBuckets]atomic.Uint64

const (
	subBits        = 6
	latencyBuckets = (40 - subBits + 1) << subBits
)

func (l *latencies) add(d time.Duration) { l[bucketOf(uint64(max(d, 0)))].Add(1) }

func bucketOf(v uint64) int {
	e := max(bits.Len64(v)-subBits-1, 0) // so many low bits are dropped
	return min(e<<subBits+int(v>>e), latencyBuckets-1)
}

// lowest returns the least time in a bucket.
func lowest(bucket int) time.Duration {
	if bucket < 2<<subBits {
		return time.Duration(bucket)
	}
	e := bucket>>subBits - 1
	return time.Duration(bucket-e<<subBits) << e
}

// Latencies are the counts of a histogram at a moment.
type Latencies []uint64

// Since returns what was added after from.
func (l Latencies) Since(from Latencies) Latencies {
	more := make(Latencies, len(l))
	for i := range l {
		more[i] = l[i] - from[i]
	}
	return more
}

// Quantile returns the time that the part q of all, from 0 to 1, did not exceed;
// 0 if there are none.
func (l Latencies) Quantile(q float64) time.Duration {
	total := uint64(0)
	for _, n := range l {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank, sum := uint64(q*float64(total-1)), uint64(0)
	for i, n := range l {
		if sum += n; sum > rank {
			return lowest(i)
		}
	}
	return lowest(len(l) - 1)
}
