package idspace_test

import (
	"bytes"
	"errors"
	"testing"

	"flamingo/idspace"

	"github.com/google/go-cmp/cmp"
)

// boot, server and so on make small ids for tests; n is not zero.
func boot(n byte) idspace.BootID     { return idspace.BootID{15: n} }
func server(n byte) idspace.ServerID { return idspace.ServerID{15: n} }

// grantTo is a grant to a life without a data directory.
func grantTo(b byte, ordinal uint32, t idspace.Tick) idspace.Grant {
	return idspace.Grant{Boot: boot(b), Ordinal: ordinal, Tick: t}
}

// grantOn is a first grant to a life on a data directory.
func grantOn(s byte, start uint64, b byte, t idspace.Tick) idspace.Grant {
	return idspace.Grant{Boot: boot(b), Ordinal: 1, Server: server(s), Start: start, Tick: t}
}

func mustApply(tb testing.TB, r *idspace.Registry, c idspace.Command) idspace.Result {
	tb.Helper()
	res, err := r.Apply(c)
	if err != nil {
		tb.Fatalf("Apply(%+v): %v", c, err)
	}
	return res
}

// requireRefused applies c and requires the error, and an unchanged registry.
func requireRefused(tb testing.TB, r *idspace.Registry, c idspace.Command, want error) {
	tb.Helper()
	before := r.Snapshot()
	res, err := r.Apply(c)
	if !errors.Is(err, want) || !cmp.Equal(res, idspace.Result{}) {
		tb.Errorf("Apply(%+v) = %+v, %v, want %v", c, res, err, want)
	}
	if !bytes.Equal(before, r.Snapshot()) {
		tb.Errorf("Apply(%+v) was refused and changed the registry", c)
	}
}

func requireNumbers(tb testing.TB, r *idspace.Registry, b byte, want ...idspace.NodeNumber) {
	tb.Helper()
	if got := r.Numbers(boot(b)); !cmp.Equal(got, want) {
		tb.Errorf("Numbers(%v) = %v, want %v", boot(b), got, want)
	}
}

func TestGrantIsTheTickOrTheNextNumber(t *testing.T) {
	r := idspace.NewRegistry()
	for i, tc := range []struct {
		tick idspace.Tick
		want idspace.NodeNumber
	}{
		{100, 100},
		{100, 101}, // the same tick
		{50, 102},  // a lagging clock
		{0, 103},   // a clock not trusted
		{200, 200},
	} {
		res := mustApply(t, r, grantTo(byte(i+1), 1, tc.tick))
		want := idspace.Result{Boot: boot(byte(i + 1)), Ordinal: 1, Number: tc.want}
		if diff := cmp.Diff(want, res); diff != "" || r.Last() != tc.want {
			t.Errorf("grant %d in tick %d, last %v (-want +got):\n%s", i, tc.tick, r.Last(), diff)
		}
	}
}

func TestRepeatedGrantGivesTheSameNumber(t *testing.T) {
	r := idspace.NewRegistry()
	mustApply(t, r, grantTo(1, 1, 100))
	mustApply(t, r, grantTo(1, 2, 110))
	mustApply(t, r, grantTo(2, 1, 120))
	before := r.Snapshot()
	for ordinal, want := range []idspace.NodeNumber{100, 110} {
		// The tick of a repetition does not matter, not even a broken one.
		for _, tick := range []idspace.Tick{0, 100, 500, 1 << 60} {
			res := mustApply(t, r, grantTo(1, uint32(ordinal+1), tick))
			if res.Number != want || !res.Repeated {
				t.Errorf("repeated ordinal %d: %+v, want number %v", ordinal+1, res, want)
			}
		}
	}
	if !bytes.Equal(before, r.Snapshot()) {
		t.Error("repeated grants changed the registry")
	}
}

func TestRefusedCommandsChangeNothing(t *testing.T) {
	r := idspace.NewRegistry()
	mustApply(t, r, grantTo(1, 1, 100))
	mustApply(t, r, grantOn(1, 5, 2, 110))
	mustApply(t, r, grantTo(3, 1, 120))
	mustApply(t, r, idspace.EndLife{Boot: boot(3), Cause: idspace.CauseLeft})
	for _, tc := range []struct {
		name string
		c    idspace.Command
		want error
	}{
		{"nothing", nil, idspace.ErrBadCommand},
		{"grant to nobody", idspace.Grant{Ordinal: 1}, idspace.ErrBadCommand},
		{"ordinal zero", grantTo(1, 0, 0), idspace.ErrBadCommand},
		{"server without start", grantOn(4, 0, 9, 0), idspace.ErrBadCommand},
		{"start without server", grantOn(0, 4, 9, 0), idspace.ErrBadCommand},
		{"end of nobody", idspace.EndLife{Cause: idspace.CauseLeft}, idspace.ErrBadCommand},
		{"end without cause", idspace.EndLife{Boot: boot(1)}, idspace.ErrBadCommand},
		{"unknown cause", idspace.EndLife{Boot: boot(1), Cause: 4}, idspace.ErrBadCommand},
		{"gap", grantTo(1, 3, 0), idspace.ErrOrdinalGap},
		{"gap at the start", grantTo(9, 2, 0), idspace.ErrOrdinalGap},
		{"greatest gap", grantTo(1, 1<<32-1, 0), idspace.ErrOrdinalGap},
		{"tick out of range", grantTo(1, 2, idspace.Tick(idspace.MaxNumber)+1), idspace.ErrTickOutOfRange},
		{"life ended", grantTo(3, 2, 0), idspace.ErrLifeEnded},
		{"repetition for a life ended", grantTo(3, 1, 0), idspace.ErrLifeEnded},
		{"earlier start", grantOn(1, 4, 9, 0), idspace.ErrStaleStart},
		{"same start, another boot", grantOn(1, 5, 9, 0), idspace.ErrStaleStart},
		{"later start, bad tick", grantOn(1, 6, 9, 1<<40), idspace.ErrTickOutOfRange},
		{"later start, gap", idspace.Grant{Boot: boot(9), Ordinal: 2, Server: server(1), Start: 6}, idspace.ErrOrdinalGap},
		{"server gained", grantOn(2, 1, 1, 0), idspace.ErrServerChanged},
		{"server lost", grantTo(2, 2, 0), idspace.ErrServerChanged},
		{"start changed", grantOn(1, 6, 2, 0), idspace.ErrServerChanged},
	} {
		t.Run(tc.name, func(t *testing.T) { requireRefused(t, r, tc.c, tc.want) })
	}
}

func TestNumbersEndAtMaxNumber(t *testing.T) {
	r := idspace.NewRegistry()
	mustApply(t, r, grantTo(1, 1, idspace.Tick(idspace.MaxNumber)))
	requireRefused(t, r, grantTo(1, 2, 0), idspace.ErrNumbersExhausted)
	requireRefused(t, r, grantTo(2, 1, 5), idspace.ErrNumbersExhausted)
}

func TestEndedLifeIsPrunedAndRemembered(t *testing.T) {
	r := idspace.NewRegistry()
	mustApply(t, r, grantTo(1, 1, 100))
	mustApply(t, r, grantTo(2, 1, 110))
	mustApply(t, r, grantTo(1, 2, 120))
	end := idspace.EndLife{Boot: boot(1), Cause: idspace.CauseRetired}
	want := idspace.Result{
		Boot:  boot(1),
		Ended: idspace.Life{Boot: boot(1), Numbers: []idspace.NodeNumber{100, 120}},
		Cause: idspace.CauseRetired,
	}
	if diff := cmp.Diff(want, mustApply(t, r, end)); diff != "" {
		t.Errorf("result of the end (-want +got):\n%s", diff)
	}
	requireNumbers(t, r, 1)
	if _, ok := r.Holder(100); ok {
		t.Error("number 100 of an ended life has a holder")
	}
	if b, ok := r.Holder(110); !ok || b != boot(2) {
		t.Errorf("Holder(110) = %v, %t, want %v", b, ok, boot(2))
	}
	if diff := cmp.Diff([]idspace.NodeNumber{110}, r.Live()); diff != "" || r.Last() != 120 {
		t.Errorf("last %v, live (-want +got):\n%s", r.Last(), diff)
	}
	end.Cause = idspace.CauseLeft // the first cause stands
	if res := mustApply(t, r, end); !res.Repeated || !res.Ended.Boot.IsZero() {
		t.Errorf("second end: %+v, want a repetition", res)
	}
	if cause, ok := r.Ended(boot(1)); !ok || cause != idspace.CauseRetired {
		t.Errorf("Ended = %v, %t, want retired", cause, ok)
	}
}

func TestRetiredNumbersAreRememberedUpToTheLimit(t *testing.T) {
	r := idspace.NewLimitedRegistry(idspace.RegistryLimits{Grants: 10, Numbers: 10, Ended: 10, Retired: 2})
	for i, cause := range []idspace.EndCause{idspace.CauseRetired, idspace.CauseLeft, idspace.CauseRetired, idspace.CauseRetired} {
		mustApply(t, r, grantTo(byte(i+1), 1, idspace.Tick(100+i)))
		mustApply(t, r, idspace.EndLife{Boot: boot(byte(i + 1)), Cause: cause})
	}
	if diff := cmp.Diff([]idspace.NodeNumber{102, 103}, r.Retired()); diff != "" {
		t.Errorf("Retired (-want +got):\n%s", diff)
	}
	restored := idspace.NewRegistry()
	if err := restored.Restore(r.Snapshot()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Retired(), restored.Retired()); diff != "" {
		t.Errorf("Retired of the restored registry (-want +got):\n%s", diff)
	}
}

func TestNewBootOnADataDirectoryEndsTheEarlierLife(t *testing.T) {
	r := idspace.NewRegistry()
	mustApply(t, r, grantOn(1, 1, 1, 100))
	res := mustApply(t, r, grantOn(1, 2, 2, 110))
	want := idspace.Result{
		Boot: boot(2), Ordinal: 1, Number: 110,
		Ended: idspace.Life{Boot: boot(1), Server: server(1), Start: 1, Numbers: []idspace.NodeNumber{100}},
		Cause: idspace.CauseNewBoot,
	}
	if diff := cmp.Diff(want, res); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if cause, ok := r.Ended(boot(1)); !ok || cause != idspace.CauseNewBoot {
		t.Errorf("Ended = %v, %t, want new boot", cause, ok)
	}
	requireRefused(t, r, grantOn(1, 1, 1, 120), idspace.ErrLifeEnded)
}

func TestEndBeforeTheFirstGrantPreventsIt(t *testing.T) {
	r := idspace.NewRegistry()
	if res := mustApply(t, r, idspace.EndLife{Boot: boot(1), Cause: idspace.CauseLeft}); !res.Ended.Boot.IsZero() {
		t.Errorf("end of an unknown life ended %+v", res.Ended)
	}
	requireRefused(t, r, grantTo(1, 1, 100), idspace.ErrLifeEnded)
}

func TestForgottenLifeBurnsANumberAndEndsNobody(t *testing.T) {
	r := idspace.NewLimitedRegistry(idspace.RegistryLimits{Grants: 10, Numbers: 10, Ended: 2})
	mustApply(t, r, grantOn(1, 1, 1, 100))
	mustApply(t, r, grantTo(2, 1, 110))
	mustApply(t, r, grantOn(1, 2, 3, 120)) // ends 1
	mustApply(t, r, idspace.EndLife{Boot: boot(2), Cause: idspace.CauseLeft})
	mustApply(t, r, idspace.EndLife{Boot: boot(4), Cause: idspace.CauseLeft}) // 1 is forgotten
	if _, ok := r.Ended(boot(1)); ok {
		t.Fatal("the oldest end is still remembered")
	}
	// On the same data directory, the live start still tells it is late.
	requireRefused(t, r, grantOn(1, 1, 1, 130), idspace.ErrStaleStart)
	requireRefused(t, r, grantTo(2, 1, 130), idspace.ErrLifeEnded)

	mustApply(t, r, idspace.EndLife{Boot: boot(5), Cause: idspace.CauseLeft}) // 2 is forgotten
	if res := mustApply(t, r, grantTo(2, 1, 130)); res.Number != 130 || res.Repeated {
		t.Errorf("late request of a forgotten life: %+v, want the fresh number 130", res)
	}
	requireNumbers(t, r, 3, 120)
}

func TestLimitsRefuseAndFreeAgain(t *testing.T) {
	r := idspace.NewLimitedRegistry(idspace.RegistryLimits{Grants: 3, Numbers: 2, Ended: 2})
	mustApply(t, r, grantOn(1, 1, 1, 100))
	mustApply(t, r, grantTo(2, 1, 110))
	mustApply(t, r, grantTo(2, 2, 120))
	requireRefused(t, r, grantTo(2, 3, 130), idspace.ErrTooManyNumbers)
	requireRefused(t, r, grantTo(3, 1, 130), idspace.ErrTooManyGrants)
	if res := mustApply(t, r, grantTo(2, 2, 130)); res.Number != 120 {
		t.Errorf("repetition at the limit: %+v, want 120", res)
	}
	mustApply(t, r, grantOn(1, 2, 4, 130)) // takes the place of the life it ends
	mustApply(t, r, idspace.EndLife{Boot: boot(2), Cause: idspace.CauseLeft})
	mustApply(t, r, grantTo(3, 1, 140))
}

func TestLivesAreSortedCopies(t *testing.T) {
	r := idspace.NewRegistry()
	mustApply(t, r, grantTo(9, 1, 100))
	mustApply(t, r, grantOn(1, 7, 2, 110))
	mustApply(t, r, grantTo(9, 2, 120))
	want := []idspace.Life{
		{Boot: boot(9), Numbers: []idspace.NodeNumber{100, 120}},
		{Boot: boot(2), Server: server(1), Start: 7, Numbers: []idspace.NodeNumber{110}},
	}
	got := r.Lives()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Lives (-want +got):\n%s", diff)
	}
	got[0].Numbers[0] = 1
	r.Numbers(boot(9))[0] = 1
	requireNumbers(t, r, 9, 100, 120)
	if diff := cmp.Diff([]idspace.NodeNumber{100, 110, 120}, r.Live()); diff != "" {
		t.Errorf("Live (-want +got):\n%s", diff)
	}
}

func TestRegistryBegunAnewStaysAboveTheLostOne(t *testing.T) {
	lost := idspace.NewRegistry()
	last := mustApply(t, lost, grantTo(1, 1, 100)).Number
	anew := idspace.NewRegistry()
	if res := mustApply(t, anew, grantTo(2, 1, 101)); res.Number <= last {
		t.Errorf("granted %v after everything up to %v was lost", res.Number, last)
	}
}

// sampleRegistry has lives of every kind and ends of three, one retired.
func sampleRegistry(tb testing.TB) *idspace.Registry {
	tb.Helper()
	r := idspace.NewRegistry()
	for _, c := range []idspace.Command{
		grantTo(9, 1, 90),
		idspace.EndLife{Boot: boot(9), Cause: idspace.CauseRetired},
		grantTo(1, 1, 100), grantOn(1, 1, 2, 110), grantTo(3, 1, 0), grantTo(1, 2, 120), grantOn(1, 2, 4, 130),
		idspace.EndLife{Boot: boot(3), Cause: idspace.CauseLeft},
	} {
		mustApply(tb, r, c)
	}
	return r
}

func TestRestoredRegistryGoesOnAlike(t *testing.T) {
	r, restored := sampleRegistry(t), idspace.NewRegistry()
	mustApply(t, restored, grantTo(77, 1, 5)) // replaced by Restore
	snap := r.Snapshot()
	if err := restored.Restore(snap); err != nil {
		t.Fatal(err)
	}
	clear(snap) // Restore keeps nothing of it
	for _, c := range []idspace.Command{
		grantTo(1, 1, 0), grantTo(1, 3, 0), grantOn(1, 1, 2, 0), grantOn(1, 3, 5, 150), grantTo(3, 1, 0),
		idspace.EndLife{Boot: boot(1), Cause: idspace.CauseRetired},
	} {
		a, errA := r.Apply(c)
		b, errB := restored.Apply(c)
		if !cmp.Equal(a, b) || (errA == nil) != (errB == nil) {
			t.Errorf("Apply(%+v): original %+v, %v; restored %+v, %v", c, a, errA, b, errB)
		}
	}
	if !bytes.Equal(r.Snapshot(), restored.Snapshot()) {
		t.Error("the states differ in the end")
	}
}

func TestEqualStatesHaveEqualSnapshots(t *testing.T) {
	want := sampleRegistry(t).Snapshot()
	for range 20 { // map order differs from run to run
		if got := sampleRegistry(t).Snapshot(); !bytes.Equal(got, want) {
			t.Fatalf("got  %x\nwant %x", got, want)
		}
	}
}

func TestRestoreRefusesDamagedBytes(t *testing.T) {
	snap := sampleRegistry(t).Snapshot()
	r := idspace.NewRegistry()
	mustApply(t, r, grantTo(8, 1, 7))
	before := r.Snapshot()
	refused := func(name string, b []byte, want error) {
		t.Helper()
		if err := r.Restore(b); !errors.Is(err, want) {
			t.Errorf("%s: Restore(%x): %v, want %v", name, b, err, want)
		}
		if !bytes.Equal(before, r.Snapshot()) {
			t.Fatalf("%s: a refused snapshot changed the registry", name)
		}
	}
	for n := range snap {
		refused("cut short", snap[:n], idspace.ErrBadSnapshot)
	}
	refused("trailing byte", append(bytes.Clone(snap), 0), idspace.ErrBadSnapshot)

	const lives, life = 9, 13     // offsets of the count and of the first
	last := len(snap) - 4 - 8 - 1 // where the last end does; one number is retired
	for _, tc := range []struct {
		name   string
		damage func(b []byte)
		want   error
	}{
		{"later version", func(b []byte) { b[0] = 2 }, idspace.ErrUnknownVersion},
		{"last too great", func(b []byte) { b[1] = 1 }, idspace.ErrBadSnapshot},
		{"last below a number", func(b []byte) { b[8] = 105 }, idspace.ErrBadSnapshot},
		{"huge number of lives", func(b []byte) { copy(b[lives:], "\xff\xff\xff\xff") }, idspace.ErrBadSnapshot},
		{"life without boot", func(b []byte) { b[life+15] = 0 }, idspace.ErrBadSnapshot},
		{"server without start", func(b []byte) { b[life+16] = 1 }, idspace.ErrBadSnapshot},
		{"life without numbers", func(b []byte) { b[life+43] = 0 }, idspace.ErrBadSnapshot},
		{"huge number of grants", func(b []byte) { b[life+40] = 0xff }, idspace.ErrBadSnapshot},
		{"number zero", func(b []byte) { b[life+51] = 0 }, idspace.ErrBadSnapshot},
		{"numbers descend", func(b []byte) { b[life+51] = 121 }, idspace.ErrBadSnapshot},
		{"lives out of order", func(b []byte) { b[life+111] = 90 }, idspace.ErrBadSnapshot},
		{"ended life is live", func(b []byte) { b[last-1] = 1 }, idspace.ErrBadSnapshot},
		{"ended twice", func(b []byte) { b[last-1] = 2 }, idspace.ErrBadSnapshot},
		{"ended without cause", func(b []byte) { b[last] = 0 }, idspace.ErrBadSnapshot},
		{"huge number of retired", func(b []byte) { b[last+1] = 0xff }, idspace.ErrBadSnapshot},
		{"retired number is zero", func(b []byte) { b[len(b)-1] = 0 }, idspace.ErrBadSnapshot},
		{"retired number is live", func(b []byte) { b[len(b)-1] = 100 }, idspace.ErrBadSnapshot},
		{"retired number was not granted", func(b []byte) { b[len(b)-1] = 131 }, idspace.ErrBadSnapshot},
	} {
		b := bytes.Clone(snap)
		tc.damage(b)
		refused(tc.name, b, tc.want)
	}
}

func TestRestoreHoldsTheLimits(t *testing.T) {
	snap := sampleRegistry(t).Snapshot() // 3 grants, 2 of one life, 3 ends, 1 retired
	for _, tc := range []struct {
		limits idspace.RegistryLimits
		want   error
	}{
		{idspace.RegistryLimits{Grants: 3, Numbers: 2, Ended: 3, Retired: 1}, nil},
		{idspace.RegistryLimits{Grants: 2, Numbers: 2, Ended: 3, Retired: 1}, idspace.ErrBadSnapshot},
		{idspace.RegistryLimits{Grants: 3, Numbers: 1, Ended: 3, Retired: 1}, idspace.ErrBadSnapshot},
		{idspace.RegistryLimits{Grants: 3, Numbers: 2, Ended: 2, Retired: 1}, idspace.ErrBadSnapshot},
		{idspace.RegistryLimits{Grants: 3, Numbers: 2, Ended: 3}, idspace.ErrBadSnapshot},
	} {
		if err := idspace.NewLimitedRegistry(tc.limits).Restore(snap); !errors.Is(err, tc.want) {
			t.Errorf("Restore within %+v: %v, want %v", tc.limits, err, tc.want)
		}
	}
}
