package idspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"flamingo/idspace"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What a history can find wrong with a machine.
var (
	errNumberTwice  = errors.New("one number, two grants")
	errPairTwice    = errors.New("one grant, two numbers")
	errLastFell     = errors.New("last fell")
	errAheadOfTime  = errors.New("number ahead of time")
	errDeadGranted  = errors.New("number granted to a life that had ended")
	errDiverged     = errors.New("replay differs")
	errRefusedAlive = errors.New("repetition refused")
)

// machine is the registry, or a broken one.
type machine interface {
	Apply(idspace.Command) (idspace.Result, error)
	Last() idspace.NodeNumber
	Live() []idspace.NodeNumber
	Holder(idspace.NodeNumber) (idspace.BootID, bool)
	Snapshot() []byte
	Restore([]byte) error
}

// pair is what a number is granted to.
type pair struct {
	boot    idspace.BootID
	ordinal uint32
}

// stepKind is what may happen to a registry.
type stepKind int

const (
	stepGrant    stepKind = iota // a life asks for its next number
	stepRetry                    // an earlier command comes once more, stamped anew
	stepLate                     // an earlier command of this log comes once more as it was
	stepNewBoot                  // a data directory is started again
	stepEnd                      // a life ends
	stepSnapshot                 // the state is written down
	stepReload                   // and read back at once
	stepCrash                    // an older snapshot is restored and the log replayed
	stepLoss                     // log and snapshots are gone; begun anew
)

// step is one of them; the numbers choose among what there is.
type step struct {
	kind   stepKind
	choice uint8 // which boot, command or snapshot
	clock  uint8 // 0: the leader does not stamp; 1, 2: its clock lags; else it is right
	pause  uint8 // ticks that pass beforehand
}

var drawSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		kind:   rapid.SampledFrom(stepOdds).Draw(t, "kind"),
		choice: rapid.Uint8().Draw(t, "choice"),
		clock:  rapid.Uint8Range(0, 5).Draw(t, "clock"),
		pause:  rapid.Uint8Range(0, 2).Draw(t, "pause"),
	}
}), 0, 60)

// stepOdds holds each kind as often as it is to happen.
var stepOdds = slices.Concat(
	slices.Repeat([]stepKind{stepGrant}, 6),
	slices.Repeat([]stepKind{stepRetry}, 3),
	[]stepKind{stepLate, stepLate, stepNewBoot, stepNewBoot, stepNewBoot, stepEnd, stepEnd, stepSnapshot, stepReload, stepCrash, stepLoss},
)

// asker is a life that asks for numbers.
type asker struct {
	grant idspace.Grant // the next one, without its tick
}

// history runs steps against a machine and keeps account of what was granted.
type history struct {
	fresh   func() machine // begins anew after a loss
	forgets bool           // the machine forgets ended lives, and may burn a number on one

	m      machine
	tick   idspace.Tick // the true time
	askers []*asker
	starts map[idspace.ServerID]uint64

	// Of all time.
	holder map[idspace.NodeNumber]pair

	// Of the log since the last loss.
	log     []idspace.Command
	results []idspace.Result
	saved   []savedState
	numbers map[pair]idspace.NodeNumber
	ended   map[idspace.BootID]bool
}

// savedState is a snapshot and the length of the log it stands for.
type savedState struct {
	snapshot []byte
	at       int
}

func newHistory(fresh func() machine) *history {
	h := &history{
		fresh:  fresh,
		tick:   1000,
		starts: make(map[idspace.ServerID]uint64),
		holder: make(map[idspace.NodeNumber]pair),
	}
	h.begin()
	return h
}

func (h *history) begin() {
	h.m = h.fresh()
	h.log, h.results, h.saved = nil, nil, []savedState{{h.m.Snapshot(), 0}}
	h.numbers = make(map[pair]idspace.NodeNumber)
	h.ended = make(map[idspace.BootID]bool)
	for range 3 {
		h.start(idspace.ServerID{})
	}
	h.start(server(1))
	h.start(server(2))
}

// start begins a life.
func (h *history) start(s idspace.ServerID) {
	a := &asker{grant: idspace.Grant{Boot: boot(byte(len(h.askers) + 1)), Ordinal: 1, Server: s}}
	a.grant.Boot[0] = byte(len(h.askers) >> 8)
	if !s.IsZero() {
		h.starts[s]++
		a.grant.Start = h.starts[s]
	}
	h.askers = append(h.askers, a)
}

// run returns the first thing found wrong, or nil.
func (h *history) run(steps []step) error {
	for i, s := range steps {
		h.tick += idspace.Tick(s.pause)
		if err := h.step(s); err != nil {
			return fmt.Errorf("step %d %+v: %w", i, s, err)
		}
	}
	if err := h.checkLive(); err != nil {
		return err
	}
	return h.crash(0)
}

// checkLive compares the live numbers with the account.
func (h *history) checkLive() error {
	for _, n := range h.m.Live() {
		b, ok := h.m.Holder(n)
		if !ok || b != h.holder[n].boot || n > h.m.Last() {
			return fmt.Errorf("%w: %v held by %v, granted to %v, last %v", errNumberTwice, n, b, h.holder[n], h.m.Last())
		}
		if h.ended[b] && !h.forgets {
			return fmt.Errorf("%w: %v of %v is live", errDeadGranted, n, b)
		}
	}
	return nil
}

func (h *history) step(s step) error {
	switch s.kind {
	case stepGrant:
		a := h.asker(s.choice)
		g := a.grant
		g.Tick = h.stamp(s.clock)
		return h.apply(g, a)
	case stepRetry, stepLate:
		if len(h.log) == 0 {
			return nil
		}
		c := h.log[int(s.choice)%len(h.log)]
		if g, ok := c.(idspace.Grant); ok && s.kind == stepRetry {
			g.Tick = h.stamp(s.clock)
			c = g
		}
		return h.apply(c, nil)
	case stepNewBoot:
		h.start(server(1 + s.choice%2))
		return nil
	case stepEnd:
		end := idspace.EndLife{Boot: h.asker(s.choice).grant.Boot, Cause: idspace.EndCause(1 + s.choice%3)}
		return h.apply(end, nil)
	case stepSnapshot:
		h.saved = append(h.saved, savedState{h.m.Snapshot(), len(h.log)})
		return nil
	case stepReload:
		return h.restore(h.m.Snapshot())
	case stepCrash:
		return h.crash(int(s.choice) % len(h.saved))
	case stepLoss:
		h.tick++ // time has passed since the last grant
		h.begin()
	}
	return nil
}

// asker chooses among the newest lives; an older one may be of a lost log or
// an earlier start.
func (h *history) asker(choice uint8) *asker {
	const among = 7
	return h.askers[len(h.askers)-1-int(choice)%min(among, len(h.askers))]
}

// stamp is what a leader does: one grant per tick, stamped as its clock
// stands. The first grant of a log carries the true time; that is the
// condition under which numbers survive the loss of everything.
func (h *history) stamp(clock uint8) idspace.Tick {
	h.tick++
	switch {
	case h.m.Last() == 0:
		return h.tick
	case clock == 0:
		return 0
	case clock <= 2:
		return h.tick - 10*idspace.Tick(clock)
	}
	return h.tick
}

// apply appends c to the log and checks its result. If a is not nil the
// command came from it, and it goes on to its next ordinal.
func (h *history) apply(c idspace.Command, a *asker) error {
	last := h.m.Last()
	res, err := h.m.Apply(c)
	h.log, h.results = append(h.log, c), append(h.results, res)
	if h.m.Last() < last {
		return fmt.Errorf("%w: from %v to %v by %+v", errLastFell, last, h.m.Last(), c)
	}
	g, isGrant := c.(idspace.Grant)
	if !isGrant {
		h.ended[c.(idspace.EndLife).Boot] = true
		return nil
	}
	p := pair{g.Boot, g.Ordinal}
	if err != nil {
		if _, ok := h.numbers[p]; ok && !h.ended[g.Boot] {
			return fmt.Errorf("%w: %+v: %w", errRefusedAlive, c, err)
		}
		return nil
	}
	if !res.Ended.Boot.IsZero() {
		h.ended[res.Ended.Boot] = true
	}
	if a != nil {
		a.grant.Ordinal++
	}
	return h.account(p, res.Number)
}

// account enters a granted number.
func (h *history) account(p pair, n idspace.NodeNumber) error {
	switch {
	case h.ended[p.boot] && h.forgets:
	case h.ended[p.boot]:
		return fmt.Errorf("%w: %v to %v", errDeadGranted, n, p)
	case h.numbers[p] != 0 && h.numbers[p] != n:
		return fmt.Errorf("%w: %v and %v to %v", errPairTwice, h.numbers[p], n, p)
	case idspace.Tick(n) > h.tick:
		return fmt.Errorf("%w: %v in tick %d", errAheadOfTime, n, h.tick)
	}
	if q, ok := h.holder[n]; ok && q != p {
		return fmt.Errorf("%w: %v to %v and %v", errNumberTwice, n, q, p)
	}
	h.numbers[p], h.holder[n] = n, p
	return nil
}

// restore puts a snapshot into a new machine and requires that it is read
// back unchanged.
func (h *history) restore(snapshot []byte) error {
	m := h.fresh()
	if err := m.Restore(snapshot); err != nil {
		return err
	}
	if got := m.Snapshot(); !bytes.Equal(got, snapshot) {
		return fmt.Errorf("%w: snapshot %x, restored %x", errDiverged, snapshot, got)
	}
	h.m = m
	return nil
}

// crash restores a saved state and replays the log from there, through the
// form that commands have in it. The same must come out.
func (h *history) crash(i int) error {
	want := h.m.Snapshot()
	if err := h.restore(h.saved[i].snapshot); err != nil {
		return err
	}
	for j := h.saved[i].at; j < len(h.log); j++ {
		b, err := idspace.EncodeCommand(h.log[j])
		if err != nil {
			return err
		}
		c, err := idspace.DecodeCommand(b)
		if err != nil {
			return err
		}
		if res, _ := h.m.Apply(c); !cmp.Equal(res, h.results[j]) {
			return fmt.Errorf("%w: %+v gave %+v, then %+v", errDiverged, c, h.results[j], res)
		}
	}
	if got := h.m.Snapshot(); !bytes.Equal(got, want) {
		return fmt.Errorf("%w: state %x, replayed %x", errDiverged, want, got)
	}
	return nil
}

func TestNoNumberIsGrantedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(func() machine { return idspace.NewRegistry() })
		if err := h.run(drawSteps.Draw(t, "steps")); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNoNumberIsGrantedTwiceAtTheLimits lets ended lives be forgotten and
// numbers run out.
func TestNoNumberIsGrantedTwiceAtTheLimits(t *testing.T) {
	limits := idspace.RegistryLimits{Grants: 6, Numbers: 2, Ended: 1}
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(func() machine { return idspace.NewLimitedRegistry(limits) })
		h.forgets = true
		if err := h.run(drawSteps.Draw(t, "steps")); err != nil {
			t.Fatal(err)
		}
	})
}
