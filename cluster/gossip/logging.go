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
)

// bridge is the slog.Handler behind memberlist's logger. It passes everything
// on at level debug: what matters, this package says itself, and most of the rest
// strangers can cause.
type bridge struct {
	slog.Handler
	quiet *quiet
}

// quiet keeps the warning of onlyTCP rare.
type quiet struct {
	mu   sync.Mutex
	last time.Time
}

func newBridge(h slog.Handler) slog.Handler { return bridge{Handler: h, quiet: &quiet{}} }

func (b bridge) Enabled(ctx context.Context, _ slog.Level) bool {
	return b.Handler.Enabled(ctx, slog.LevelDebug) || b.Handler.Enabled(ctx, slog.LevelWarn)
}

func (b bridge) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	if strings.Contains(r.Message, onlyTCP) && b.quiet.due(r.Time) {
		r.Level = slog.LevelWarn
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
	return bridge{Handler: b.Handler.WithAttrs(as), quiet: b.quiet}
}

func (b bridge) WithGroup(name string) slog.Handler {
	return bridge{Handler: b.Handler.WithGroup(name), quiet: b.quiet}
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
