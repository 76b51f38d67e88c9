package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/admin"

	"go.uber.org/goleak"
)

// A node that has left its cluster does not wait for memberlist's last probe of
// another one, which ends by itself within some seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode.func3"),
	)
}

// patience bounds every wait of these tests; none comes near it when it passes.
const patience = time.Minute

// newHandler returns a quiet handler without a node.
func newHandler(t testing.TB, cfg admin.Config) *admin.Handler {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := admin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// An api is a handler behind a real server, and a client of it.
type api struct {
	t      testing.TB
	h      *admin.Handler
	addr   string // of the server
	client *http.Client
	edit   []func(r *http.Request) // done to every request
}

// serve serves h on loopback until the end of the test.
func serve(t testing.TB, h *admin.Handler) *api {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := admin.Server(h)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return &api{t: t, h: h, addr: ln.Addr().String(), client: &http.Client{Transport: transport, Timeout: patience}}
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do makes a request. The edits are done to it before it leaves.
func (a *api) do(method, target, body string, edit ...func(r *http.Request)) answer {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.addr+target, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, e := range append(a.edit, edit...) {
		e(r)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, target, err)
	}
	got := answer{resp.StatusCode, resp.Header, string(text)}
	if err := checkContract(r, body, got); err != nil {
		a.t.Error(err)
	}
	return got
}

// get makes a GET that is to succeed, and decodes its JSON into v.
func (a *api) get(target string, v any) {
	a.t.Helper()
	got := a.do("GET", target, "")
	if got.status != http.StatusOK {
		a.t.Fatalf("GET %s: %d %s", target, got.status, got.body)
	}
	decoder := json.NewDecoder(strings.NewReader(got.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		a.t.Fatalf("GET %s: %v in %s", target, err, got.body)
	}
}

// expect makes a request and wants that status, and for a problem that slug.
func (a *api) expect(method, target, body string, status int, slug string, edit ...func(r *http.Request)) answer {
	a.t.Helper()
	got := a.do(method, target, body, edit...)
	if got.status != status {
		a.t.Fatalf("%s %s: %d %s; want %d %s", method, target, got.status, got.body, status, slug)
	}
	if slug != "" && problemIn(a.t, got).Type != "/problems/"+slug {
		a.t.Fatalf("%s %s: %s; want the problem %s", method, target, got.body, slug)
	}
	return got
}

// problemIn returns the problem that an answer is.
func problemIn(t testing.TB, got answer) admin.Details {
	t.Helper()
	if kind := got.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Fatalf("%d %s of type %q, want a problem", got.status, got.body, kind)
	}
	var d admin.Details
	if err := json.Unmarshal([]byte(got.body), &d); err != nil {
		t.Fatalf("%v in %s", err, got.body)
	}
	return d
}

func bearing(token string) func(r *http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func asking(host string) func(r *http.Request) {
	return func(r *http.Request) { r.Host = host }
}

func with(name, value string) func(r *http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// lines are the options of a quiet node on a free port that takes lines.
func lines() node.Opts {
	return node.Opts{
		Listen:  []string{"tcp://127.0.0.1:0"},
		Framing: "line",
		Name:    "birch",
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// openNode opens a node. At the end of the test it is closed, whatever is
// queued.
func openNode(t testing.TB, opts node.Opts) *node.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := node.OpenContext(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, n) })
	return n
}

// closeNow closes the node whatever is queued.
func closeNow(t testing.TB, n *node.Node) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
}

// show opens a node and serves it.
func show(t testing.TB, cfg admin.Config, opts node.Opts) (*api, *node.Node) {
	t.Helper()
	h := newHandler(t, cfg)
	n := openNode(t, opts)
	h.Attach(n)
	return serve(t, h), n
}

// A client is the other end of a connection.
type client struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

// connect connects to the node and takes the open.
func connect(t testing.TB, n *node.Node) (*client, node.ID) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", n.Addrs()[0].String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	id := within(t, "an open", func() node.ID {
		id, _ := n.RecvOpen()
		return id
	})
	if err := nc.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil { // little waits for a client that does not read
		t.Fatal(err)
	}
	return &client{nc, t, bufio.NewReader(nc)}, id
}

func (c *client) expect(line string) {
	c.t.Helper()
	got, err := c.in.ReadString('\n')
	if err != nil || got != line+"\n" {
		c.t.Fatalf("client read %.40q, %v; want line %.40q", got, err, line)
	}
}

// expectEnd waits for the node's end of the connection and ends ours.
func (c *client) expectEnd() {
	c.t.Helper()
	defer c.Close()
	if got, err := io.ReadAll(c.in); err != nil || len(got) > 0 {
		c.t.Fatalf("client read %.40q, %v; want the end", got, err)
	}
}

// within returns what get returns, or fails the test after patience.
func within[T any](t testing.TB, what string, get func() T) T {
	t.Helper()
	got := make(chan T, 1)
	go func() { got <- get() }()
	select {
	case v := <-got:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// until waits for a state that no event tells of.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// A fake acts as a node: every operation returns err, or what it was given,
// and is counted.
type fake struct {
	err   error
	nodes []node.NodeInfo

	mu    sync.Mutex
	calls []call // guarded by mu

	counted
}

// counted is a node that has counted nothing.
type counted struct{}

func (counted) Stats() node.Stats                       { return node.Stats{} }
func (counted) GroupStats() node.GroupStats             { return node.GroupStats{} }
func (counted) WatchStats() node.WatchStats             { return node.WatchStats{} }
func (counted) NumberStats() node.NumberStats           { return node.NumberStats{} }
func (counted) ClusterStats() (node.ClusterStats, bool) { return node.ClusterStats{}, false }
func (counted) Failures() []node.Failures               { return nil }
func (counted) Number() node.NodeNumber                 { return 1 }

// A call is an operation that a fake was asked for.
type call struct {
	op  string
	id  node.ID
	msg string // of a disconnect: code and reason

	kind node.Kind
}

var _ admin.Target = (*fake)(nil)

func (f *fake) note(c call) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, c)
	return f.err
}

// taken returns the calls since it was asked last.
func (f *fake) taken() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *fake) SendDataAs(id node.ID, kind node.Kind, msg []byte) error {
	return f.note(call{"send", id, string(msg), kind})
}

func (f *fake) SendAs(_ context.Context, id node.ID, kind node.Kind, msg []byte) error {
	return f.note(call{"send and wait", id, string(msg), kind})
}

func (f *fake) SendAckedAs(_ context.Context, id node.ID, kind node.Kind, msg []byte) error {
	return f.note(call{"send and wait for the peer", id, string(msg), kind})
}

func (f *fake) SendDataBeforeAs(deadline time.Time, id node.ID, kind node.Kind, msg []byte) error {
	return f.note(call{"send within " + time.Until(deadline).Round(time.Second).String(), id, string(msg), kind})
}

func (f *fake) SendManyAs(ids []node.ID, kind node.Kind, msg []byte) []error {
	errs := make([]error, len(ids))
	for i, id := range ids {
		errs[i] = f.note(call{"send many", id, string(msg), kind})
	}
	return errs
}

func (f *fake) DisconnectWith(id node.ID, code int, reason string) error {
	return f.note(call{op: "disconnect", id: id, msg: fmt.Sprintf("%d %q", code, reason)})
}

func (f *fake) Retire(_ context.Context, number node.NodeNumber, anyway bool) error {
	return f.note(call{op: "retire", msg: fmt.Sprintf("%v %t", number, anyway)})
}

func (f *fake) Describe(_ context.Context, id node.ID) (node.ConnInfo, error) {
	return node.ConnInfo{ID: id}, f.note(call{op: "describe", id: id})
}

func (f *fake) Connections(string, int) (node.Page, error) {
	return node.Page{}, f.note(call{op: "list"})
}

func (f *fake) ClusterConnections(context.Context, string, int) (node.ClusterPage, error) {
	return node.ClusterPage{}, f.note(call{op: "list all"})
}

func (f *fake) Nodes() []node.NodeInfo {
	_ = f.note(call{op: "nodes"})
	return f.nodes
}

func (f *fake) Closing() bool { return false }

func (f *fake) StartDrain(plan node.DrainPlan) error {
	return f.note(call{op: "drain", msg: fmt.Sprint(plan.Wait, plan.Duration)})
}

func (f *fake) DrainDefault() node.DrainPlan {
	return node.DrainPlan{Wait: time.Second, Duration: 2 * time.Second}
}

func (f *fake) DrainProgress() node.DrainProgress { return node.DrainProgress{Phase: node.DrainNone} }

func (f *fake) Drained() <-chan struct{} { return nil }
