package test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port"
	"flamingo/cluster/trust"
	"flamingo/idspace"
	"flamingo/node"
	"flamingo/node/admin"
	"flamingo/node/nodetest"
)

// A house is a node that strangers knock at.
type house struct {
	*node.Node
	t      *testing.T
	port   string // between nodes
	admin  string
	log    *strangerLog
	client net.Conn
	id     node.ID // of client
}

type strangerLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *strangerLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *strangerLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openHouse opens a node, its admin API, and a client of it.
func openHouse(t *testing.T, opts node.Opts) *house {
	t.Helper()
	h := &house{t: t, port: nodetest.FreeAddrs(t, 1)[0], log: &strangerLog{}}
	opts.Listen, opts.Framing, opts.Ignore = []string{"tcp://127.0.0.1:0"}, "line", node.IgnoreCloses
	opts.Name, opts.Cluster, opts.Expect = "house", h.port, 1
	opts.Logger = slog.New(slog.NewTextHandler(h.log, nil))
	var err error
	if h.Node, err = node.Open(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Node.Close(t.Context()) })
	handler, err := admin.New(admin.Config{Token: adminToken, Logger: opts.Logger})
	if err != nil {
		t.Fatal(err)
	}
	handler.Attach(h.Node)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := admin.Server(handler)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	h.admin = ln.Addr().String()
	if h.client, err = net.Dial("tcp", h.Addrs()[0].String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.client.Close() })
	h.id, _ = h.RecvOpen()
	return h
}

// state is what a stranger must not change.
func (h *house) state() string {
	h.t.Helper()
	info, err := h.Describe(h.t.Context(), h.id)
	if err != nil {
		h.t.Errorf("the client is gone: %v", err)
	}
	var nodes []string
	for _, n := range h.Nodes() {
		nodes = append(nodes, fmt.Sprintf("%v %s %s %v", n.Number, n.Name, n.Cluster, n.Self))
	}
	return fmt.Sprintf("number %v, nodes %q, connections %d, of %v", h.Number(), nodes, h.Stats().Connections, info.ID)
}

// whisper sends packets as gossip has them that no key was used for.
func (h *house) whisper() {
	h.t.Helper()
	c, err := net.Dial("udp", h.port)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		garbage := make([]byte, 64)
		_, _ = rand.Read(garbage)
		name := gossip.DefaultClusterName
		if _, err := c.Write(slices.Concat([]byte{244, byte(len(name))}, []byte(name), garbage)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// ask asks the admin API with a token, if it is not empty, and returns the status.
func (h *house) ask(method, path, token string) int {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.admin+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// overTLS reports whether the admin API shakes hands with who has the certificate
// of s.
func (h *house) overTLS(s stranger) bool {
	h.t.Helper()
	cfg := &tls.Config{InsecureSkipVerify: true}
	if s.cert != nil {
		cfg.Certificates = []tls.Certificate{*s.cert}
	}
	d := net.Dialer{Timeout: strangerPatience}
	c, err := tls.DialWithDialer(&d, "tcp", h.admin, cfg)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// gossipWith runs a gossip that looks for members at h, until it has given up a few
// times or has met one, and returns how many it knows, itself among them.
func (h *house) gossipWith(cfg trust.Config) int {
	t := h.t
	t.Helper()
	tr, err := trust.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	po, err := port.New(port.Config{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Trust: tr})
	if err != nil {
		t.Fatal(err)
	}
	if err := po.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	g, err := gossip.New(gossip.Config{
		Port: po, Boot: idspace.BootID{15: 9}, ClusterName: cfg.ClusterName, Keys: tr.GossipKeys(), Seeds: []string{h.port},
		Timing: gossip.Fast(), Meta: gossip.Meta{Name: "stranger", MinVersion: 1, MaxVersion: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	stopPort, stopGossip := inBackground(po.Run), inBackground(g.Run)
	defer stopPort()
	defer stopGossip()
	for begin := time.Now(); time.Since(begin) < strangerPatience; <-time.After(10 * time.Millisecond) {
		if s := g.Stats(); s.JoinErrors >= 3 || s.Joins >= 1 && len(h.Nodes()) > 1 {
			break
		}
	}
	return len(g.Members())
}

// inBackground runs something until the func returned is called, which waits.
func inBackground(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}
