package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"flamingo/node"
	"flamingo/node/attach"
)

// defaultAttach is where workers attach when nothing says.
const defaultAttach = "127.0.0.1:4140"

// An application is what becomes of the messages of a node.
type application interface {
	// wait waits for its end, which is that of the node.
	wait()
}

// attaches reports whether the application is elsewhere: workers, or a webhook.
func (r *runCommand) attaches() bool { return r.listens() || r.Webhook != "" }

// listens reports whether workers may attach.
func (r *runCommand) listens() bool { return r.App == "attach" || r.Attach != "" }

// attachAddress is where workers attach.
func (r *runCommand) attachAddress() string {
	if r.Attach == "" {
		return defaultAttach
	}
	return r.Attach
}

// checkAttach finds what is wrong with the settings of attach.
func (r *runCommand) checkAttach() error {
	switch {
	case r.attaches() && r.App == "sink":
		return badUse("--attach %s, --webhook %s beside --app sink: one of them", orDash(r.Attach), orDash(r.Webhook))
	case (r.Webhook == "") != (r.WebhookSecret == ""):
		return badUse("--webhook %s and --webhook-secret-file %s: one needs the other", orDash(r.Webhook), orDash(r.WebhookSecret))
	case r.Webhook == "" && len(r.WebhookEvents) > 0:
		return badUse("--webhook-events is for --webhook URL: give that, too")
	case !r.listens() && (r.AttachTokenFile != "" || r.AttachAckTimeout != 0):
		return badUse("--attach-token-file and --attach-ack-timeout are for a node that workers attach to: give --attach ADDR, too")
	case r.AttachAckTimeout != 0 && r.AttachAckTimeout < time.Second:
		return badUse("--attach-ack-timeout %v (key attach.ack_timeout): want 0, or 1s or more", r.AttachAckTimeout)
	}
	return nil
}

// workers are an application in other processes.
type workers struct {
	ln     net.Listener // nil if there is a webhook alone
	tokens []attach.Token
	hook   *attach.Webhook // nil without one
	server *attach.Server
	wg     sync.WaitGroup
}

// openWorkers listens for workers, who come once the node is there. Without tokens
// only those of this machine do, at a Unix socket those of this user.
func (r *runCommand) openWorkers(ctx context.Context) (*workers, error) {
	w, address := &workers{}, r.attachAddress()
	if err := r.readWebhook(w); err != nil || !r.listens() {
		return w, err
	}
	if r.AttachTokenFile != "" {
		file, err := os.Open(r.AttachTokenFile)
		if err != nil {
			return nil, badUse("--attach-token-file: %w", err)
		}
		defer file.Close()
		if w.tokens, err = attach.ParseTokens(file); err != nil {
			return nil, badUse("--attach-token-file %s (key attach.token_file): %w", r.AttachTokenFile, err)
		}
	}
	var err error
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		w.ln, err = listenPrivately(ctx, path)
		if err != nil {
			err = fmt.Errorf("--attach %s (key attach.address): %w", address, err)
		}
		return w, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, badUse("--attach %s (key attach.address): want HOST:PORT or unix:PATH", address)
	}
	if len(w.tokens) == 0 && !isLoopback(host) {
		return nil, badUse("--attach %s (key attach.address): beyond loopback a worker needs a token; give --attach-token-file FILE, or listen on 127.0.0.1", address)
	}
	var lc net.ListenConfig
	w.ln, err = lc.Listen(ctx, "tcp", address)
	switch {
	case isInUse(err):
		return nil, &portError{port, "--attach " + address, "attach.address"}
	case err != nil:
		return nil, fmt.Errorf("--attach %s (key attach.address): %w", address, err)
	}
	return w, nil
}

// listenPrivately listens at a path that only this user can connect to, from the first
// moment on: the socket is made in a folder of its own and moved. One that nobody
// serves is replaced.
func listenPrivately(ctx context.Context, path string) (net.Listener, error) {
	path = strings.TrimPrefix(path, "//")
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there, and no socket", path)
	default:
		var d net.Dialer
		if nc, err := d.DialContext(ctx, "unix", path); err == nil {
			nc.Close()
			return nil, fmt.Errorf("%s is served by another process", path)
		}
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".attach-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", made)
	if err != nil {
		return nil, err
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // that is not its path any more
	}
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		ln.Close()
		return nil, err
	}
	return &unlinked{Listener: ln, path: path}, nil
}

// An unlinked listener takes its path away when it is closed.
type unlinked struct {
	net.Listener
	path string
	once sync.Once
}

func (u *unlinked) Close() error {
	u.once.Do(func() { os.Remove(u.path) })
	return u.Listener.Close()
}

// readWebhook reads the settings of the webhook, if there is one.
func (r *runCommand) readWebhook(w *workers) error {
	if r.Webhook == "" {
		return nil
	}
	secret, err := os.ReadFile(r.WebhookSecret)
	if err != nil {
		return badUse("--webhook-secret-file: %w", err)
	}
	secret = bytes.TrimSpace(secret)
	if bytes.ContainsAny(secret, "\r\n") {
		return badUse("--webhook-secret-file %s (key webhook.secret_file): want one line", r.WebhookSecret)
	}
	w.hook = &attach.Webhook{URL: r.Webhook, Secret: secret}
	for _, name := range r.WebhookEvents {
		event, ok := eventTypes[name]
		if !ok {
			return badUse("--webhook-events %s (key webhook.events): want open, data or close", name)
		}
		w.hook.Events = append(w.hook.Events, event)
	}
	if err := w.hook.Check(); err != nil {
		return badUse("--webhook (keys webhook.…): %w", err)
	}
	return nil
}

// eventTypes are those of --webhook-events.
var eventTypes = map[string]node.EventType{"open": node.EventOpen, "data": node.EventMessage, "close": node.EventClose}

// close ends the listener, also of workers that have no node.
func (w *workers) close() {
	if w.ln != nil {
		w.ln.Close()
	}
}

// start makes the workers the application of n, until it is closed.
func (w *workers) start(ctx context.Context, n *node.Node, ackTimeout time.Duration, logger *slog.Logger) error {
	var err error
	w.server, err = attach.New(attach.Config{
		Node: n, Tokens: w.tokens, Webhook: w.hook, AckTimeout: ackTimeout, NodeName: selfOf(n).Name, Logger: logger,
	})
	if err != nil {
		return err
	}
	var listeners []net.Listener
	if w.ln != nil {
		listeners = append(listeners, w.ln)
	}
	w.wg.Go(func() {
		if err := w.server.Run(context.WithoutCancel(ctx), listeners...); err != nil {
			logger.Error("workers can no longer attach", "err", err)
		}
	})
	return nil
}

func (w *workers) wait() { w.wg.Wait() }

// warnOfLosses says what a stop waits for when nobody takes the events.
func (w *workers) warnOfLosses(logger *slog.Logger) {
	if st := w.server.Stats(); st.Sessions == 0 && w.hook == nil {
		logger.Warn("no worker is attached: events that wait are lost if none comes", "waiting", st.Waiting)
	}
}

// startApplication starts what becomes of the messages of n: w if there is one.
func (r *runCommand) startApplication(ctx context.Context, n *node.Node, w *workers, logger *slog.Logger) (application, error) {
	if w == nil {
		return startApp(ctx, n, r.App, r.Framing, r.Listen, logger), nil
	}
	return w, w.start(ctx, n, r.AttachAckTimeout, logger)
}

// application is what announce says of it.
func (r *runCommand) application() string {
	switch {
	case r.listens() && r.Webhook != "":
		return "attach, at " + r.attachAddress() + ", and a webhook"
	case r.listens():
		return "attach, at " + r.attachAddress()
	case r.Webhook != "":
		return "a webhook"
	}
	return r.App
}
