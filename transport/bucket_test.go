package transport_test

import (
	"testing"
	"time"

	"flamingo/transport"

	"pgregory.net/rapid"
)

// However tokens are taken, as soon as there is one, no span of time sees more
// than its share and one second's worth, and the last that was taken on top.
func TestBucketHoldsItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 1<<30)).Draw(t, "rate")
		now := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "now"))
		b := transport.NewBucket(now)
		begin, taken := now, 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pause"))
			if wait := b.Wait(now, rate); wait > 0 {
				now += wait
			}
			if b.Wait(now, rate) != 0 || b.Tokens(now, rate) < 1 {
				t.Fatalf("after the wait there are %d tokens, and %v to wait", b.Tokens(now, rate), b.Wait(now, rate))
			}
			allowed := float64(rate)*(now-begin).Seconds() + float64(rate) + 1
			if float64(taken) > allowed {
				t.Fatalf("%d taken in %v at %d/s; allowed are %.0f", taken, now-begin, rate, allowed)
			}
			n := rapid.IntRange(1, max(1, rate/2)).Draw(t, "n")
			b.Take(now, n, rate)
			taken += n
		}
	})
}
