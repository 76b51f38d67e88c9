package transport_test

import (
	"errors"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/transport"
)

func TestMemoryOfEndsForgetsTheOldest(t *testing.T) {
	const limit, all = 100, 250
	c := transport.NewClosings(limit)
	for i := range all {
		c.Add(idspace.ID(i+1), int64(i), transport.ReasonIdle)
	}
	c.SetCode(all, 4001)
	c.SetCode(1, 4002) // forgotten: nothing comes of it
	for i := range all {
		at, why, code, ok := c.Find(idspace.ID(i + 1))
		if known := i >= all-limit; ok != known {
			t.Fatalf("connection %d of %d: remembered %v, want %v", i+1, all, ok, known)
		}
		want := uint16(0)
		if i+1 == all {
			want = 4001
		}
		if ok && (at != int64(i) || why != transport.ReasonIdle || code != want) {
			t.Errorf("connection %d: %d, %v, %d", i+1, at, why, code)
		}
	}
	if n, forgotten := c.Counts(); n != limit || forgotten != all-limit {
		t.Errorf("%d remembered and %d forgotten, want %d and %d", n, forgotten, limit, all-limit)
	}
}

func TestGoneErrorTellsOfOneEnd(t *testing.T) {
	err := &transport.GoneError{
		ID: 0x01adc9000000002a, At: time.UnixMilli(1798761600123), Reason: transport.ReasonClient, Code: 1001,
	}
	if !errors.Is(err, transport.ErrGone) {
		t.Error("it is no ErrGone")
	}
	if want := "connection is gone: closed 2027-01-01T00:00:00.123Z, reason client, code 1001"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, &transport.GoneError{ID: err.ID}) || errors.Is(err, &transport.GoneError{ID: err.ID + 1}) {
		t.Error("it is not told by its id")
	}
}
