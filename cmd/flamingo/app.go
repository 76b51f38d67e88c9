package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"

	"flamingo/node"
)

// app is the built-in application: it greets each client with the line
// "flamingo ID", then sends messages back, or drops them.
type app struct {
	node   *node.Node
	echoes bool
	raw    map[string]bool // addresses of listeners whose framing ends no line
	logger *slog.Logger
	wg     sync.WaitGroup
}

// startApp serves n until it is closed. The framing is that of listeners which
// name none.
func startApp(ctx context.Context, n *node.Node, name, framing string, listen []string, logger *slog.Logger) *app {
	a := &app{node: n, echoes: name == "echo", raw: make(map[string]bool), logger: logger}
	for i, addr := range n.Addrs() {
		if used, err := framingOf(listen[i], framing); err == nil && isRaw(used) {
			a.raw[place(addr)] = true
		}
	}
	a.wg.Go(func() {
		handler := node.HandlerFuncs{Open: a.greet, Message: a.answer}
		if err := n.Serve(context.WithoutCancel(ctx), handler, 2*runtime.GOMAXPROCS(0)); err != nil {
			logger.Error("the application has ended", "err", err)
		}
	})
	return a
}

// wait waits for the end of the application, which is that of the node.
func (a *app) wait() { a.wg.Wait() }

func (a *app) greet(id node.ID, conn net.Conn) {
	greeting := greetingPrefix + id.String()
	if addr := conn.LocalAddr(); addr != nil && a.raw[place(addr)] {
		greeting += "\n"
	}
	a.send(id, node.KindDefault, []byte(greeting))
}

// answer sends a message back as what it came as.
func (a *app) answer(m node.Message) {
	if a.echoes {
		a.send(m.ID, m.Kind, m.Data)
	}
}

func (a *app) send(id node.ID, kind node.Kind, msg []byte) {
	if err := a.node.SendDataAs(id, kind, msg); err != nil && !errors.Is(err, node.ErrGone) {
		a.logger.Debug("a client gets no answer", "err", err)
	}
}

// isRaw reports whether a framing with its options is raw.
func isRaw(framing string) bool {
	name, _, _ := strings.Cut(framing, "&")
	return name == "raw"
}
