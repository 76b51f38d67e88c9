package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"flamingo/node/admin"
)

// A view shows a node over HTTP, before there is one too.
type view struct {
	*admin.Handler
	server  *http.Server
	addr    net.Addr
	serving sync.WaitGroup
}

// openView listens and serves, with the tokens of a file. Without a token it does so
// on loopback alone.
func openView(ctx context.Context, address, tokenFile string, cfg admin.Config) (*view, error) {
	if tokenFile != "" {
		var err error
		if cfg.Tokens, err = readTokens(tokenFile); err != nil {
			return nil, err
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, badUse("--admin %s (key admin.address): want HOST:PORT", address)
	}
	if len(cfg.Tokens) == 0 && !isLoopback(host) {
		return nil, badUse("--admin %s (key admin.address): beyond loopback who asks needs a token; give --token-file FILE, or listen on 127.0.0.1", address)
	}
	v := &view{}
	if v.Handler, err = admin.New(cfg); err != nil {
		return nil, usageError{error: err}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	switch {
	case isInUse(err):
		return nil, &portError{port, "--admin " + address, "admin.address"}
	case err != nil:
		return nil, fmt.Errorf("--admin %s (key admin.address): %w", address, err)
	}
	v.server, v.addr = admin.Server(v.Handler), ln.Addr()
	v.serving.Go(func() {
		if err := v.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			cfg.Logger.Error("the admin API has ended", "err", err)
		}
	})
	return v, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// url is where the view is.
func (v *view) url() string { return "http://" + reachable(v.addr) }

// lastAnswers bounds the time for answers that are under way when the node has ended.
const lastAnswers = time.Second

// close ends what is served: requests under way are answered first, for a while.
func (v *view) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
	defer cancel()
	if v.server.Shutdown(ctx) != nil {
		v.server.Close()
	}
	v.serving.Wait()
}
