package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/node"

	"pgregory.net/rapid"
)

// A fakeClock stands still but for those who sleep on it.
type fakeClock struct {
	mu    sync.Mutex
	time  time.Time     // guarded by mu
	slept time.Duration // guarded by mu: in all

	// onSleep, if it is set, is asked before a sleep; an error ends it.
	onSleep func(ctx context.Context, d time.Duration) error
}

// noon is within a tick: 10 ms after its beginning.
var noon = time.Date(2026, 7, 1, 12, 0, 0, int(10*time.Millisecond), time.UTC)

func (c *fakeClock) clock() node.Clock { return node.NewClock(c.now, c.sleep) }

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *fakeClock) sleep(ctx context.Context, d time.Duration) error {
	if c.onSleep != nil {
		if err := c.onSleep(ctx, d); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
	c.slept += d
	return nil
}

func (c *fakeClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = t
}

// life begins a life, takes so many numbers and ends it.
func life(c *fakeClock, dir string, grants int) (numbers []node.NodeNumber, err error) {
	g, err := node.NewStandaloneGranter(c.clock(), dir)
	if err != nil {
		return nil, err
	}
	for range grants {
		n, err := g.Grant(context.Background())
		if err != nil {
			return numbers, errors.Join(err, g.Close())
		}
		numbers = append(numbers, n)
	}
	return numbers, g.Close()
}

func TestNumberIsTheTickOfTheStartAndNoClientIsServedBeforeItIsOver(t *testing.T) {
	c := &fakeClock{time: noon}
	n, err := node.OpenWithClock(lines(), c.clock())
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, n)
	if want := node.NodeNumber(idspace.TickAt(noon)); n.Number() != want {
		t.Errorf("number %s, want %s", n.Number(), want)
	}
	end := noon.Truncate(idspace.TickDuration).Add(idspace.TickDuration)
	if got := c.now(); !got.Equal(end) {
		t.Errorf("the listeners opened at %v, want at the end of the tick, %v", got, end)
	}
}

func TestClockThatStepsBackDuringTheWaitEndsIt(t *testing.T) {
	c := &fakeClock{time: noon}
	c.onSleep = func(context.Context, time.Duration) error {
		c.set(noon.Add(-time.Hour))
		return nil
	}
	if _, err := life(c, "", 1); err != nil {
		t.Error(err)
	}
	if c.slept > idspace.TickDuration {
		t.Errorf("slept %v", c.slept)
	}
}

func TestLivesInQuickSuccessionNeverShareANumber(t *testing.T) {
	c := &fakeClock{time: noon}
	seen := map[node.NodeNumber]bool{}
	for range 100 {
		numbers, err := life(c, "", 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range numbers {
			if seen[n] {
				t.Fatalf("number %s twice", n)
			}
			seen[n] = true
		}
	}
}

func TestDataDirectoryKeepsNumbersUniqueWhateverTheClockDoes(t *testing.T) {
	dirs, count := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		count++
		dir := filepath.Join(dirs, fmt.Sprint(count))
		c := &fakeClock{time: noon}
		var last node.NodeNumber
		for range rapid.IntRange(1, 6).Draw(rt, "lives") {
			step := rapid.Int64Range(-int64(400*24*time.Hour), int64(time.Hour)).Draw(rt, "step of the clock")
			c.set(c.now().Add(time.Duration(step)))
			numbers, err := life(c, dir, rapid.IntRange(1, 3).Draw(rt, "grants"))
			if err != nil {
				rt.Fatal(err)
			}
			for _, n := range numbers {
				if n <= last {
					rt.Fatalf("number %s after %s", n, last)
				}
				last = n
			}
		}
	})
}

func TestNumberIsTheGreaterOfTickAndSuccessorOfTheLast(t *testing.T) {
	dir := t.TempDir()
	c := &fakeClock{time: noon}
	tick := node.NodeNumber(idspace.TickAt(noon))
	for _, step := range []struct {
		at   time.Time
		want node.NodeNumber
	}{
		{noon, tick},
		{noon, tick + 1},                      // no time has passed
		{noon.Add(-24 * time.Hour), tick + 2}, // set back
		{noon.Add(time.Hour), tick + 3600*16},
	} {
		c.set(step.at)
		numbers, err := life(c, dir, 1)
		if err != nil || numbers[0] != step.want {
			t.Errorf("at %v: %v, %v; want %s", step.at, numbers, err, step.want)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, node.NumberFile))
	if want := (tick + 3600*16).String() + "\n"; err != nil || string(text) != want {
		t.Errorf("the file holds %q, %v; want %q", text, err, want)
	}
}

func TestClockThatWasNeverSetIsRefusedUnlessThereIsADataDirectory(t *testing.T) {
	c := &fakeClock{time: time.Unix(100, 0)}
	c.onSleep = func(context.Context, time.Duration) error { return errors.New("slept for decades") }
	if numbers, err := life(c, "", 1); !errors.Is(err, node.ErrClock) || !strings.Contains(err.Error(), "1970-01-01") {
		t.Errorf("numbers %v, error %v; want ErrClock that names the time", numbers, err)
	}
	late := &fakeClock{time: time.Date(4000, 1, 1, 0, 0, 0, 0, time.UTC), onSleep: c.onSleep}
	if numbers, err := life(late, t.TempDir(), 1); !errors.Is(err, node.ErrClock) || !strings.Contains(err.Error(), "4000-01-01") {
		t.Errorf("numbers %v, error %v; want ErrClock that names the time", numbers, err)
	}
	dir := t.TempDir()
	for want := node.NodeNumber(1); want <= 3; want++ {
		if numbers, err := life(c, dir, 1); err != nil || numbers[0] != want {
			t.Errorf("with a data directory: %v, %v; want %s", numbers, err, want)
		}
	}
}

func TestDamagedNumberFileIsRefusedByName(t *testing.T) {
	for _, text := range []string{"", "\n", "x", "000000000", "01adc900", "01adc90000", "01ADC9000", "01adc9000 1", "\x00\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("0", 1<<20)} {
		opts := lines()
		opts.DataDir = t.TempDir()
		path := filepath.Join(opts.DataDir, node.NumberFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := node.Open(opts)
		if err == nil {
			closeAtEnd(t, n)
			t.Errorf("Open took %.20q", text)
			continue
		}
		if !strings.Contains(err.Error(), path) || len(err.Error()) > 1000 {
			t.Errorf("%.20q: the error does not name %s, or is long: %.1000v", text, path, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%.20q: the file was changed to %.20q, %v", text, got, err)
		}
		// Open gave the directory up: repaired, it serves.
		if err := os.WriteFile(path, []byte("000000001\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		start(t, opts)
	}
}

func TestDataDirectoryThatCannotBeOneIsRefusedByName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	opts := lines()
	opts.DataDir = file
	if n, err := node.Open(opts); err == nil {
		closeAtEnd(t, n)
		t.Error("Open took a file as data directory")
	} else if !strings.Contains(err.Error(), file) {
		t.Errorf("the error does not name %s: %v", file, err)
	}
}

func TestDataDirectoryIsMadeAndHoldsNothingThatGrows(t *testing.T) {
	opts := lines()
	opts.DataDir = filepath.Join(t.TempDir(), "a", "b")
	for range 3 {
		n, err := node.Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// As a crash in the middle of a grant leaves it.
	if err := os.WriteFile(filepath.Join(opts.DataDir, node.NumberFile+".new"), []byte("rubbish that is longer than a number"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, opts)
	entries, err := os.ReadDir(opts.DataDir)
	if err != nil || len(entries) > 3 {
		t.Errorf("the data directory holds %v, %v; want the format, the number and the lock", entries, err)
	}
}

func TestDataDirectoryInUseIsRefused(t *testing.T) {
	opts := lines()
	opts.DataDir = t.TempDir()
	first, err := node.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(who string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), opts.DataDir) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: %v; want one that says that %s is in use", who, err, opts.DataDir)
		}
	}
	second, err := node.Open(opts)
	if err == nil {
		closeAtEnd(t, second)
	}
	refused("a second Open", err)
	if !errors.Is(err, node.ErrInUse) {
		t.Errorf("a second Open: %v; want ErrInUse", err)
	}
	refused("another process", openInProcess(t, opts.DataDir))
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := openInProcess(t, opts.DataDir); err != nil {
		t.Errorf("another process, after Close: %v", err)
	}
}

const openDirVariable = "FLAMINGO_TEST_OPEN_DIR"

// openInProcess opens a node with that data directory in a process of its own.
func openInProcess(t *testing.T, dir string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperProcessOpensDataDirectory$", "-test.count=1")
	cmd.Env = append(os.Environ(), openDirVariable+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestHelperProcessOpensDataDirectory(t *testing.T) {
	dir := os.Getenv(openDirVariable)
	if dir == "" {
		t.Skip("runs in a process of its own only")
	}
	opts := lines()
	opts.DataDir = dir
	start(t, opts)
}

func TestNodeGoesOnUnderAFurtherNumber(t *testing.T) {
	log, logger := newLog()
	opts := lines()
	opts.Logger = logger
	opts.DataDir = t.TempDir()
	n := start(t, opts)
	first := n.Number()
	a, idA := connectID(t, n)

	node.SkipTo(n, idspace.MaxSerial/2)
	b, idB := connectID(t, n) // uses the serial that asks for more
	log.await(t, "further node number")
	second := n.Number()
	if second <= first || idB.Node() != first {
		t.Fatalf("numbers %s, %s; id %s", first, second, idB)
	}
	if text, err := os.ReadFile(filepath.Join(opts.DataDir, node.NumberFile)); err != nil || string(text) != second.String()+"\n" {
		t.Errorf("the file holds %q, %v; want %s", text, err, second)
	}
	expectOutcome(t, n, "the reserve", mustID(t, second, 1), node.ErrNeverIssued)

	node.SkipTo(n, idspace.MaxSerial)
	c, idC := connectID(t, n)
	if idC.Node() != second {
		t.Errorf("id %s, want one under %s", idC, second)
	}
	for k, id := range []node.ID{idA, idB, idC} {
		if err := n.SendData(id, []byte{byte('a' + k)}); err != nil {
			t.Errorf("SendData to %s: %v", id, err)
		}
	}
	a.expect("a")
	b.expect("b")
	c.expect("c")
	if second > first+1 {
		expectOutcome(t, n, "a number between our own", mustID(t, first+1, 1), node.ErrGone)
	}
	expectOutcome(t, n, "a burned serial", mustID(t, first, idspace.MaxSerial), node.ErrGone)
	expectOutcome(t, n, "the next", idC+1, node.ErrNeverIssued)
	expectOutcome(t, n, "a later number", mustID(t, second+1, 1), node.ErrNeverIssued)
}

func TestGrantThatFailsIsTriedAgainAndAcceptingGoesOnThen(t *testing.T) {
	log, logger := newLog()
	opts := lines()
	opts.Logger = logger
	opts.DataDir = filepath.Join(t.TempDir(), "data")

	c := &fakeClock{time: noon}
	again := make(chan struct{})
	c.onSleep = func(ctx context.Context, d time.Duration) error {
		if d < time.Second { // the end of a tick
			return nil
		}
		select {
		case <-again:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	n, err := node.OpenWithClock(opts, c.clock())
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, n)
	if err := os.RemoveAll(opts.DataDir); err != nil {
		t.Fatal(err)
	}
	node.SkipTo(n, idspace.MaxSerial/2)
	connectID(t, n)
	for range 3 {
		if r := log.await(t, "no further node number"); r.Level != slog.LevelWarn {
			t.Errorf("level %v", r.Level)
		}
		select {
		case again <- struct{}{}:
		case <-time.After(patience):
			t.Fatal("no further try")
		}
	}
	log.await(t, "no further node number")

	node.SkipTo(n, idspace.MaxSerial)
	refused := connect(t, n)
	refused.expectEnd() // there is no id for it
	if err := os.MkdirAll(opts.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	close(again)
	log.await(t, "further node number")
	accepted := connect(t, n)
	accepted.say("x\n")
	if got := recvData(t, n); got.id.Node() != n.Number() || got.id.Serial() != 1 {
		t.Errorf("id %s, want the first under %s", got.id, n.Number())
	}
}

func TestCloseInterruptsTheWaitForAFurtherNumber(t *testing.T) {
	log, logger := newLog()
	opts := lines()
	opts.Logger = logger
	opts.Ignore = node.IgnoreCloses
	opts.CloseTimeout = 10 * time.Millisecond // the client does not end
	c := &fakeClock{time: noon}
	n, err := node.OpenWithClock(opts, c.clock())
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, n)
	waiting := make(chan struct{})
	c.onSleep = func(ctx context.Context, _ time.Duration) error {
		close(waiting)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	node.SkipTo(n, idspace.MaxSerial/2)
	connectID(t, n)
	receive(t, "the grant", waiting)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
	for len(log.records) > 0 {
		if r := <-log.records; r.Level >= slog.LevelWarn {
			t.Errorf("logged: %v", r.Message)
		}
	}
}

func TestNodesListsEveryNumberOfANodeAlone(t *testing.T) {
	n := start(t, lines())
	first := n.Number()
	node.SkipTo(n, idspace.MaxSerial/2)
	connectID(t, n)
	until(t, "a further number", func() bool { return n.Number() > first })
	if got, want := n.Nodes()[0].Numbers, []node.NodeNumber{first, n.Number()}; !slices.Equal(got, want) {
		t.Errorf("numbers %v, want %v", got, want)
	}
}
