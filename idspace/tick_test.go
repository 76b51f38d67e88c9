package idspace_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"flamingo/idspace"

	"pgregory.net/rapid"
)

func TestTicksAreSixteenthsOfASecondSince2026(t *testing.T) {
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		at   time.Time
		want idspace.Tick
	}{
		{epoch, 0},
		{epoch.Add(-time.Nanosecond), 0},
		{epoch.Add(-time.Hour), 0},
		{time.Time{}, 0},
		{time.Unix(math.MinInt64, 0), 0},
		{epoch.Add(idspace.TickDuration - 1), 0},
		{epoch.Add(idspace.TickDuration), 1},
		{epoch.Add(time.Second), 16},
		{epoch.Add(time.Second - 1), 15},
		{epoch.Add(time.Second).In(time.FixedZone("", 3600)), 16},
		{time.Unix(1<<62, 0), math.MaxUint64},
	} {
		if got := idspace.TickAt(tc.at); got != tc.want {
			t.Errorf("TickAt(%v) = %d, want %d", tc.at, got, tc.want)
		}
	}
}

func TestTickTimeIsWhereTheTickBegins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tick := idspace.Tick(rapid.Uint64Range(0, 1<<50).Draw(t, "tick"))
		at := tick.Time()
		if got := idspace.TickAt(at); got != tick {
			t.Fatalf("TickAt(%v) = %d, want %d", at, got, tick)
		}
		if tick == 0 {
			return
		}
		if got := idspace.TickAt(at.Add(-1)); got != tick-1 {
			t.Fatalf("a nanosecond before %v: tick %d, want %d", at, got, tick-1)
		}
	})
}

func TestNumberTellsWhenItsLifeBegan(t *testing.T) {
	began := time.Date(2027, 3, 4, 5, 6, 7, 500_000_000, time.UTC)
	n, err := idspace.NumberAfter(1, idspace.TickAt(began))
	if err != nil || !n.Time().Equal(began) || n.Time().Location() != time.UTC {
		t.Errorf("number %v (%v) tells %v, want %v", n, err, n.Time(), began)
	}
	if y := idspace.MaxNumber.Time().Year(); y != 2162 {
		t.Errorf("numbers end in %d, want 2162", y)
	}
}

func TestNumberAfterIsMaxOfLastPlusOneAndTick(t *testing.T) {
	const end = idspace.MaxNumber
	for _, tc := range []struct {
		last idspace.NodeNumber
		tick idspace.Tick
		want idspace.NodeNumber
		err  error
	}{
		{0, 0, 1, nil},
		{0, 1, 1, nil},
		{0, 100, 100, nil},
		{100, 0, 101, nil},
		{100, 99, 101, nil},
		{100, 100, 101, nil},
		{100, 102, 102, nil},
		{end - 1, 0, end, nil},
		{0, idspace.Tick(end), end, nil},
		{0, idspace.Tick(end) + 1, 0, idspace.ErrTickOutOfRange},
		{0, math.MaxUint64, 0, idspace.ErrTickOutOfRange},
		{end, 0, 0, idspace.ErrNumbersExhausted},
		{end, idspace.Tick(end), 0, idspace.ErrNumbersExhausted},
		{math.MaxUint64, 0, 0, idspace.ErrNumbersExhausted},
	} {
		got, err := idspace.NumberAfter(tc.last, tc.tick)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("NumberAfter(%d, %d) = %d, %v, want %d, %v", tc.last, tc.tick, got, err, tc.want, tc.err)
		}
	}
}
