package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flamingo/idspace"
)

// A granter grants node numbers to this life: each greater than those before,
// and to no other life, ever. Grant blocks until the grant is final, or ctx is
// done.
type granter interface {
	Grant(ctx context.Context) (idspace.NodeNumber, error)
	Close() error
}

// A clock tells the time and waits. Tests have their own.
type clock struct {
	now   func() time.Time
	sleep func(ctx context.Context, d time.Duration) error
}

var systemClock = clock{now: time.Now, sleep: sleep}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// numberFile is the file in the data directory that holds the last number
// granted, in its text form.
const numberFile = "last-number"

// standalone grants numbers to a node without a cluster. The number is the
// tick of the grant, and the grant is final when that tick is over: so the
// next life, however soon it begins, has a later tick. With a data directory
// the last number is kept there, and a clock that was set back does no harm.
type standalone struct {
	clock clock
	dir   string   // "" without a data directory
	lock  *os.File // held while the directory is ours
	last  idspace.NodeNumber
}

func newStandalone(c clock, dir string) (*standalone, error) {
	g := &standalone{clock: c, dir: dir}
	if dir == "" {
		return g, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	g.lock = lock
	if g.last, err = readNumber(filepath.Join(dir, numberFile)); err != nil {
		lock.Close()
		return nil, err
	}
	return g, nil
}

func readNumber(path string) (idspace.NodeNumber, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("last number: %w", err)
	}
	n, err := idspace.ParseNodeNumber(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("last number: %s: %w; if the clock is known to be right, the file can be removed", path, err)
	}
	return n, nil
}

// Grant waits for the end of the present tick: a sixteenth of a second at most.
// A clock that was never set, which has no tick, is refused unless there is a
// data directory to go by.
func (g *standalone) Grant(ctx context.Context) (idspace.NodeNumber, error) {
	now := g.clock.now()
	tick := idspace.TickAt(now)
	if tick == 0 && g.dir == "" {
		return 0, fmt.Errorf("node number: %w: it says %s; set it, or give the node a data directory", ErrClock, now.UTC().Format(time.RFC3339))
	}
	n, err := idspace.NumberAfter(g.last, tick)
	if errors.Is(err, idspace.ErrTickOutOfRange) {
		err = fmt.Errorf("%w: it says %s: %w", ErrClock, now.UTC().Format(time.RFC3339), err)
	}
	if err != nil {
		return 0, fmt.Errorf("node number: %w", err)
	}
	if g.dir != "" {
		if err := writeDurably(filepath.Join(g.dir, numberFile), n.String()+"\n"); err != nil {
			return 0, fmt.Errorf("node number %s: %w", n, err)
		}
	}
	g.last = n
	for tick != 0 && idspace.TickAt(g.clock.now()) == tick {
		if err := g.clock.sleep(ctx, (tick + 1).Time().Sub(g.clock.now())); err != nil {
			return 0, fmt.Errorf("node number %s: %w", n, err)
		}
	}
	return n, nil
}

// Close gives up the data directory.
func (g *standalone) Close() error {
	if g.lock == nil {
		return nil
	}
	return g.lock.Close()
}

// writeDurably replaces the file at path: after a crash it holds the old text
// or the new one. The caller alone writes in its directory.
func writeDurably(path, text string) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // of no effect once it is renamed
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// extender obtains a further number whenever the sequence asks for one, and the
// first one of another life when this one was retired.
type extender struct {
	granter granter
	wanted  chan struct{}               // a number is wanted; capacity 1, never closed
	retired <-chan struct{}             // this life was retired; nil alone
	retire  func(context.Context) error // ends the connections of the life that was
	clock   clock
	logger  *slog.Logger
}

// want is called by the sequence.
func (e *extender) want() {
	select {
	case e.wanted <- struct{}{}:
	default:
	}
}

// run extends ids until ctx is done. A grant that fails is asked for again. What
// was granted to a life before it turned out to be retired goes with it, as both
// happen here.
func (e *extender) run(ctx context.Context, ids *idspace.Sequence) {
	for ctx.Err() == nil {
		select {
		case <-e.retired:
			e.begin(ctx, ids)
			continue
		default:
		}
		if ids.Wanting() {
			e.extend(ctx, ids)
			continue
		}
		select {
		case <-e.retired:
			e.begin(ctx, ids)
		case <-e.wanted:
		case <-ctx.Done():
		}
	}
}

// begin gives up the numbers of a life that was retired, and its connections.
func (e *extender) begin(ctx context.Context, ids *idspace.Sequence) {
	numbers := ids.Numbers()
	ids.Retire()
	e.logger.Warn("this node was retired: its connections end, and it takes another number", "numbers", numbers)
	if err := e.retire(ctx); err != nil && ctx.Err() == nil {
		e.logger.Error("connections of a retired number are left", "err", err)
	}
}

func (e *extender) extend(ctx context.Context, ids *idspace.Sequence) {
	const retry = time.Second
	n, err := e.granter.Grant(ctx)
	if err == nil {
		err = ids.Extend(n)
	}
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errBetweenLives):
		_ = e.clock.sleep(ctx, retry/10)
	case err != nil:
		e.logger.Warn("no further node number", "err", err, "ids_left", ids.Remaining())
		_ = e.clock.sleep(ctx, retry)
	default:
		e.logger.Info("further node number", "number", n)
	}
}
