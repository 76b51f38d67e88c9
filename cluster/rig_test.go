package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/cluster/port/porttest"
)

// Whole nodes on a network in memory, in a bubble of virtual time: what a test
// waits for costs no time, and what it gives up on costs none either.

// patience bounds every wait; it is reached by tests that fail.
const patience = 3 * time.Minute

// outset is when every test begins, for node numbers: a bubble's own time
// begins before their epoch.
var outset = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// A world is a network with nodes on it.
type world struct {
	*porttest.Network
	t      *testing.T
	origin time.Time
	home   string // of data directories
	dirs   int    // made so far
	lives  []*life
}

// inWorld runs f in a bubble, beside other tests. It ends the nodes that f leaves running; the
// minute after is for what memberlist does not wait for.
func inWorld(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	inBubble(t, f)
}

// inBubble is inWorld beside no other test.
func inBubble(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	home := newHome(t) // cleaned up outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		w := &world{Network: porttest.New(), t: t, origin: time.Now(), home: home}
		t.Cleanup(func() {
			w.end()
			<-time.After(time.Minute)
		})
		f(t, w)
	})
}

// newHome returns a directory on a disk in memory, where there is one: hundreds
// of syncs would be most of what a test waits for.
func newHome(t *testing.T) string {
	home, err := os.MkdirTemp("/dev/shm", "flamingo-cluster-") //nolint:usetesting // T.TempDir takes no place
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	return home
}

// end stops every life at once and says how it was, if the test failed.
func (w *world) end() {
	var wg sync.WaitGroup
	for _, n := range w.lives {
		wg.Go(func() {
			if err := n.stop(); err != nil && !n.fails {
				w.t.Errorf("%s: %v", n.name, err)
			}
		})
	}
	wg.Wait()
	if !w.t.Failed() {
		return
	}
	for _, n := range w.lives {
		w.t.Logf("%s, boot %v, at %v in %s:\n%s", n.name, n.Boot(), n.plan.addr(), n.plan.dir, n.log)
	}
}

// now is the wall clock of every node.
func (w *world) now() time.Time { return outset.Add(time.Since(w.origin)) }

// newDir returns a fresh data directory.
func (w *world) newDir() string {
	w.dirs++
	return filepath.Join(w.home, fmt.Sprint(w.dirs))
}

// copyDir returns a copy of a data directory.
func (w *world) copyDir(dir string) string {
	w.t.Helper()
	to := w.newDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		w.t.Fatal(err)
	}
	return to
}

// A plan says how a node is to be.
type plan struct {
	host   int // its place in the network, from 1
	name   string
	join   []int // hosts
	expect int
	dir    string // empty: in memory

	keyFile string // empty: clear text

	// calm has leaders and members speak seldom, so that minutes cost little.
	calm bool

	// trusting has it promise whatever is proposed.
	trusting bool

	// lostAfter is that of the config.
	lostAfter time.Duration

	// clock is its wall clock; nil: that of the world.
	clock func() time.Time

	// speaks are its versions of the protocol; zero: those of this release.
	speaks mesh.Versions

	// shy has it exchange full state with those that it joins only, for a while.
	shy bool
}

var hostAddr, hosts = porttest.HostAddr, porttest.Hosts

func (p plan) addr() netip.AddrPort { return hostAddr(p.host) }

// calmly has all of them be calm.
func calmly(plans []plan) []plan {
	for i := range plans {
		plans[i].calm = true
	}
	return plans
}

func (p plan) with(change func(*plan)) plan {
	change(&p)
	return p
}

// plans are n nodes with one join list, on directories of their own.
func (w *world) plans(n, expect int) (all []plan) {
	for i := range n {
		p := plan{host: i + 1, name: fmt.Sprintf("node%d", i+1), expect: expect, dir: w.newDir()}
		for k := range n {
			p.join = append(p.join, k+1)
		}
		all = append(all, p)
	}
	return all
}

// A life is one life of a node.
type life struct {
	*member
	w       *world
	plan    plan
	plug    *plug
	log     *logBuffer
	cancel  context.CancelFunc
	granted chan struct{} // closed when number is set
	ended   chan struct{} // closed when Run has returned
	fails   bool          // that Run fails is no fault

	refused atomic.Pointer[error] // how Grant has failed
}

func members(lives []*life) (all []*member) {
	for _, n := range lives {
		all = append(all, n.member)
	}
	return all
}

// config is what p says.
func (w *world) config(p plan) cluster.Config {
	cfg := cluster.Config{
		NodeName: p.name, Address: p.addr(), Expect: p.expect, Dir: p.dir, KeyFile: p.keyFile,
		Owner: &inbox{}, OutcomeOf: func(error) mesh.Outcome { return mesh.OutcomeGone },
		Network: w.Host(p.addr().Addr()), Now: w.now, Logger: slog.New(slog.DiscardHandler),
	}
	if p.calm {
		cfg.Election, cfg.Timing = 10*time.Second, gossip.LAN()
		cfg.Timing.Gossip, cfg.Timing.Probe = time.Second, 5*time.Second
	}
	if p.shy {
		cfg.Timing = gossip.LAN()
		cfg.Timing.Exchange = 20 * time.Second
	}
	if p.clock != nil {
		cfg.Now = p.clock
	}
	cfg.LostAfter = p.lostAfter
	for _, host := range p.join {
		cfg.Join = append(cfg.Join, hostAddr(host).String())
	}
	return cfg
}

// start begins a life and asks for its number.
func (w *world) start(p plan) *life {
	w.t.Helper()
	n := &life{
		member: &member{name: p.name, inbox: &inbox{}},
		w:      w, plan: p, plug: &plug{}, log: &logBuffer{}, granted: make(chan struct{}), ended: make(chan struct{}),
	}
	cfg := w.config(p)
	cfg.Owner, cfg.Network = n.inbox, n.plug.into(cfg.Network)
	cfg.Logger = slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := cluster.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	n.Cluster = c
	if p.trusting {
		c.TrustProposers()
	}
	if p.speaks != (mesh.Versions{}) {
		c.SetVersions(p.speaks)
	}
	if err := c.Listen(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	n.run()
	w.lives = append(w.lives, n)
	return n
}

func (w *world) startAll(plans []plan) (all []*life) {
	w.t.Helper()
	for _, p := range plans {
		all = append(all, w.start(p))
	}
	w.awaitNumbers(all...)
	requireOneCluster(w.t, members(all)...)
	return all
}

func (n *life) run() {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	var err error
	var asking sync.WaitGroup
	asking.Go(func() {
		number, err := n.Grant(ctx)
		if err != nil {
			n.refused.Store(&err)
			return
		}
		n.number = number
		close(n.granted)
	})
	go func() {
		err = n.Run(ctx)
		close(n.ended)
	}()
	n.stop = sync.OnceValue(func() error {
		cancel()
		asking.Wait()
		<-n.ended
		return errors.Join(err, n.Close())
	})
}

// grantError is how Grant has failed, nil if it has not.
func (n *life) grantError() error {
	if err := n.refused.Load(); err != nil {
		return *err
	}
	return nil
}

// kill ends a life as kill -9 does: not a byte gets out any more. It leaves
// in plan.dir what is on the disk at that moment.
func (n *life) kill() {
	n.w.t.Helper()
	n.fails = true
	n.plug.pull()
	if n.plan.dir != "" {
		synctest.Wait() // nobody writes
		n.plan.dir = n.w.copyDir(n.plan.dir)
	}
	n.cancel()
}

// await waits until ok, at most for patience or the time given, and looks every
// now and then.
func (w *world) await(what string, ok func() bool, limit ...time.Duration) {
	w.t.Helper()
	late := append(limit, patience)[0]
	for begin := time.Now(); !ok(); <-time.After(50 * time.Millisecond) {
		if time.Since(begin) > late {
			w.t.Fatalf("waited %v for %s", late, what)
		}
	}
}

// awaitEnd waits until the life ends by itself, with an error.
func (n *life) awaitEnd(want error) {
	n.w.t.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.w.t.Fatalf("%s has not ended after %v", n.name, patience)
	}
	if err := n.stop(); !errors.Is(err, want) {
		n.w.t.Errorf("%s ended with %v, want %v", n.name, err, want)
	}
	n.fails = true
}

// awaitNumbers waits until each of the lives has its number.
func (w *world) awaitNumbers(lives ...*life) {
	w.t.Helper()
	late := time.After(patience)
	for _, n := range lives {
		select {
		case <-n.granted:
		case <-late:
			w.t.Fatalf("%s has no number after %v", n.name, patience)
		}
	}
}

// awaitMembership waits until each of the lives has its number and takes part
// in the cluster: a member grants to a node that is about to join.
func (w *world) awaitMembership(lives ...*life) {
	w.t.Helper()
	w.awaitNumbers(lives...)
	for _, n := range lives {
		w.await(n.name+" to join a cluster", func() bool { return !n.State().Cluster.IsZero() })
	}
}

// A plug joins one life to the network, until it is pulled.
type plug struct {
	mu     sync.Mutex
	pulled bool
	open   []interface{ Close() error } // guarded by mu
}

// into returns network as seen through the plug.
func (p *plug) into(network port.Network) port.Network {
	return port.Network{
		Listen: func(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
			ln, err := network.Listen(ctx, addr)
			if err != nil {
				return nil, err
			}
			return accepting{ln, p}, p.add(ln)
		},
		ListenPacket: func(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
			pc, err := network.ListenPacket(ctx, addr)
			if err != nil {
				return nil, err
			}
			return pc, p.add(pc)
		},
		Dial: func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			c, err := network.Dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			return c, p.add(c)
		},
	}
}

// add closes what comes too late.
func (p *plug) add(c interface{ Close() error }) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pulled {
		c.Close()
		return net.ErrClosed
	}
	p.open = append(p.open, c)
	return nil
}

func (p *plug) pull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pulled = true
	for _, c := range p.open {
		c.Close()
	}
}

// accepting is a listener whose connections end with the plug.
type accepting struct {
	net.Listener
	plug *plug
}

func (a accepting) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return c, a.plug.add(c)
}

// A logBuffer keeps what a node logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
