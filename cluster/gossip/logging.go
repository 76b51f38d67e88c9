package gossip

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// onlyTCP is in memberlist's line about a member that answers by stream
	// but not by packet, for which a firewall is the usual cause. The operator
	// learns it at level warn. Should the words change, at level debug.
	onlyTCP = "over TCP but UDP probes failed"

	onlyTCPEvery = time.Minute // at most, of any member

	// noKey is in its line about a packet of somebody who does not know a key.
	noKey = "Decrypt packet failed"
)

// bridge is the slog.Handler behind memberlist's logger. It passes everything
// on at level debug: what matters, this package says itself, and most of the rest
// strangers can cause.
type bridge struct {
	slog.Handler
	quiet, strangers *quiet
	counts           *counters
}

// quiet keeps a warning rare.
type quiet struct {
	mu   sync.Mutex
	last time.Time
}

func newBridge(h slog.Handler, counts *counters) slog.Handler {
	return bridge{Handler: h, quiet: &quiet{}, strangers: &quiet{}, counts: counts}
}

func (b bridge) Enabled(ctx context.Context, _ slog.Level) bool {
	return b.Handler.Enabled(ctx, slog.LevelDebug) || b.Handler.Enabled(ctx, slog.LevelWarn)
}

func (b bridge) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	if strings.Contains(r.Message, onlyTCP) && b.quiet.due(r.Time) {
		r.Level = slog.LevelWarn
	}
	if strings.Contains(r.Message, noKey) {
		b.counts.packetsSealed.Add(1)
		if b.strangers.due(r.Time) {
			r.Level = slog.LevelWarn
		}
	}
	if !b.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	if rest, ok := strings.CutPrefix(r.Message, "["); ok {
		if kind, text, ok := strings.Cut(rest, "] "); ok {
			r.Message = strings.TrimPrefix(text, "memberlist: ")
			r.AddAttrs(slog.String("memberlist", kind))
		}
	}
	return b.Handler.Handle(ctx, r)
}

func (b bridge) WithAttrs(as []slog.Attr) slog.Handler {
	b.Handler = b.Handler.WithAttrs(as)
	return b
}

func (b bridge) WithGroup(name string) slog.Handler {
	b.Handler = b.Handler.WithGroup(name)
	return b
}

func (q *quiet) due(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.last.IsZero() && now.Sub(q.last) < onlyTCPEvery {
		return false
	}
	q.last = now
	return true
}

// report logs changes and refusals until ctx is done: not where they arise,
// which is under memberlist's lock.
func (g *Gossip) report(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for c := range g.Changes(ctx) {
			if c.Member.Boot == g.cfg.Boot {
				continue
			}
			level := slog.LevelInfo
			if c.Kind == Updated {
				level = slog.LevelDebug
			}
			m := c.Member
			g.cfg.Logger.Log(ctx, level, "member "+c.Kind.String(),
				"node", m.Meta.Name, "boot", m.Boot, "addr", m.Addr, "state", m.Meta.State.String())
		}
	})
	for {
		select {
		case <-g.refusals.created:
			for _, r := range g.refusals.takeUnsaid() {
				g.cfg.Logger.Warn("node refused as a member", "boot", r.Boot, "err", r.Err)
			}
		case <-ctx.Done():
			return
		}
	}
}
