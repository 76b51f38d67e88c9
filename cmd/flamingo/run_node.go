package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"flamingo/node"
	"flamingo/node/admin"
)

// stopTimeout bounds an orderly stop beyond what its options take: a client may take
// 5 s to be flushed, other nodes as long to answer, and the vote is handed over.
const stopTimeout = 30 * time.Second

// Run runs the node until ctx is done: first what shows it, which tells what
// the node waits for; then the node.
func (r *runCommand) Run(ctx context.Context, con *console) error {
	if err := r.check(); err != nil {
		return err
	}
	opts, err := r.opts()
	if err != nil {
		return err
	}
	logger := newLogger(con.talk, r.LogLevel, r.LogFormat)
	opts.Logger = logger
	view, err := openView(ctx, r.Admin, r.TokenFile, admin.Config{MaxMessage: int64(r.MaxMessage), Settings: r.shown(&con.origins), Logger: logger})
	if err != nil {
		return err
	}
	defer view.close(ctx)
	var w *workers
	if r.attaches() {
		if w, err = r.openWorkers(ctx); err != nil {
			return err
		}
		defer w.close()
	}
	view.Waiting(r.waitsFor())
	opts.Waiting = func(reason string) {
		if reason != "" {
			view.Waiting("waiting for " + reason)
		}
	}
	if a, err := netip.ParseAddrPort(view.addr.String()); err == nil && !a.Addr().IsUnspecified() {
		opts.Admin = a.String()
	}
	if r.clustered() {
		logger.Info(r.waitsFor())
	}
	n, err := node.OpenContext(ctx, opts)
	if err != nil {
		return notOpened(ctx, opts, err)
	}
	a, err := r.startApplication(ctx, n, w, logger)
	if err != nil {
		return errors.Join(err, stopNode(ctx, n, stopTimeout))
	}
	view.Attach(n)
	if w != nil {
		view.AttachWorkers(w.server)
	}
	r.announce(con, n, view.url(), logger)

	err = r.untilDrained(ctx, n, w, logger)
	a.wait()
	logger.Info("stopped")
	return err
}

// untilDrained returns when the node is closed: ctx is done, or somebody has asked
// the node to drain.
func (r *runCommand) untilDrained(ctx context.Context, n *node.Node, w *workers, logger *slog.Logger) error {
	select {
	case <-n.Drained():
		return stopNode(ctx, n, r.CloseTimeout+stopTimeout)
	case <-ctx.Done():
	}
	if w != nil {
		w.warnOfLosses(logger)
	}
	plan := n.DrainProgress().Plan // of the drain that is under way, if there is one
	if plan == (node.DrainPlan{}) {
		plan = n.DrainDefault()
	}
	logger.Info("stopping: the node drains, what is queued is written; once more ends at once",
		"wait", plan.Wait, "over", plan.Duration, "why", context.Cause(ctx))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), plan.Wait+plan.Duration+r.CloseTimeout+stopTimeout)
	defer cancel()
	return n.Drain(ctx)
}

// stopNode closes n in order, within a time.
func stopNode(ctx context.Context, n *node.Node, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	return n.Close(ctx)
}

// waitsFor says what the node waits for until it has a number.
func (r *runCommand) waitsFor() string {
	places := strings.Join(r.Join, ", ")
	switch {
	case r.Expect > 1:
		return fmt.Sprintf("waiting for %d nodes to found the cluster, looking at %s", r.Expect, orDash(places))
	case r.Expect == 0 && len(r.Join) > 0:
		return fmt.Sprintf("waiting for a cluster at %s; if there is none, give --expect 1, 3 or 5 to the nodes that found it", places)
	default:
		return "waiting for a node number"
	}
}

// notOpened says why there is no node: which option to change if a port is
// taken, and nothing if that was what the user wanted.
func notOpened(ctx context.Context, opts node.Opts, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // it was interrupted, as the user wanted
	case isInUse(err):
		return portInUse(opts, err)
	default:
		return err
	}
}

// portInUse names the port and the option that says it.
func portInUse(opts node.Opts, err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Addr == nil {
		return err
	}
	port := place(op.Addr)
	for _, text := range opts.Listen {
		l, e := parseListener(text)
		if e == nil && strings.HasSuffix(l.Address, ":"+port) {
			return &portError{port, "--listen " + text, listenKey}
		}
	}
	if strings.HasPrefix(op.Net, "tcp") || strings.HasPrefix(op.Net, "udp") {
		return &portError{port, "--cluster " + op.Addr.String(), "cluster.address"}
	}
	return err
}

// A portError says that somebody else has the port of an option of run.
type portError struct{ port, option, key string }

func (e *portError) Error() string {
	return fmt.Sprintf("port %s is in use: it is that of %s (key %s); choose another, or end who has it", e.port, e.option, e.key)
}
