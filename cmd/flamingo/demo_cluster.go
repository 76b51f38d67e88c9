package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"flamingo/cmd/flamingo/internal/client"
	"flamingo/framing"
	"flamingo/node"
)

// The nodes of the demonstration. Each has a framing of its own: what a node
// sends to a connection of another is framed there.
var (
	demoNames    = []string{"ash", "birch", "cedar"}
	demoFramings = []string{"line", "length", "netstring"}
)

// demoSchemes are the listeners of each node.
var demoSchemes = []string{"tcp", "tls", "wss"}

// Bounds of the demonstration's nodes, in bytes: small, to be reached at once.
const (
	demoMaxMessage  = 64 << 10
	demoOutputBytes = 64 << 10
)

// demoHalfClose is more than a busy machine delays an answer by. No client of the
// demonstration waits for it.
const demoHalfClose = 10 * time.Second

// A demoNode is a place for a node: one life after the other.
type demoNode struct {
	name    string
	framing string
	trust   *tls.Config // for its clients
	opts    node.Opts
	*node.Node
	app     *demoApp
	clients []*demoClient
}

// found makes the places for the nodes, and opens a node in each at the same
// time, since each waits for the others.
func (d *demo) found(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "flamingo-demo-"); err != nil {
		return err
	}
	trust, err := makeCertificate(d.dir)
	if err != nil {
		return err
	}
	addrs, err := freeAddrs(ctx, len(demoNames))
	if err != nil {
		return err
	}
	for i, name := range demoNames {
		d.nodes = append(d.nodes, &demoNode{name: name, framing: demoFramings[i], trust: trust, opts: node.Opts{
			Name:    name,
			DataDir: filepath.Join(d.dir, name),
			Cluster: addrs[i],
			Join:    addrs,
			Expect:  len(addrs),

			Listen:      demoListeners(demoFramings[i], d.dir),
			OutputBytes: demoOutputBytes,
			HalfClose:   demoHalfClose,
			Logger:      slog.New(slog.DiscardHandler),
		}})
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	return d.eachNode(func(n *demoNode) error {
		err := n.open(ctx)
		if err != nil {
			giveUp(err) // the others would wait in vain
		}
		return err
	})
}

// demoListeners returns the listeners of a node, in the order of demoSchemes.
func demoListeners(framing, dir string) []string {
	var listeners []string
	for _, scheme := range demoSchemes {
		options := url.Values{"max-message": {strconv.Itoa(demoMaxMessage)}}
		if scheme != "wss" {
			options.Set("framing", framing)
		}
		if scheme != "tcp" {
			options.Set("cert", filepath.Join(dir, certFile))
			options.Set("key", filepath.Join(dir, keyFile))
		}
		listeners = append(listeners, scheme+"://127.0.0.1:0?"+options.Encode())
	}
	return listeners
}

// eachNode does something with all nodes at the same time.
func (d *demo) eachNode(do func(*demoNode) error) error {
	errs := make([]error, len(d.nodes))
	var wg sync.WaitGroup
	for i, n := range d.nodes {
		wg.Go(func() {
			if err := do(n); err != nil {
				errs[i] = fmt.Errorf("%s: %w", n.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// inTurn does something with one node after the other.
func (d *demo) inTurn(do func(*demoNode) error) error {
	var errs []error
	for _, n := range d.nodes {
		if err := do(n); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n.name, err))
		}
	}
	return errors.Join(errs...)
}

// removeDir removes the data directories, once.
func (d *demo) removeDir() error {
	dir := d.dir
	d.dir = ""
	if dir == "" {
		return nil
	}
	return os.RemoveAll(dir)
}

func (n *demoNode) open(ctx context.Context) (err error) {
	n.Node, err = node.OpenContext(ctx, n.opts)
	if err == nil {
		n.app = startDemoApp(n.Node)
	}
	return err
}

// close ends this life of the node, and waits for the application that served
// it. It is a no-op if there is none.
func (n *demoNode) close(ctx context.Context) error {
	if n.app == nil {
		return nil
	}
	err := n.Close(ctx)
	n.app.wait()
	n.app = nil
	return err
}

func (n *demoNode) dropClients() {
	for _, c := range n.clients {
		c.close()
	}
	n.clients = nil
}

// connect connects one more client over TCP, which is greeted with its id.
func (n *demoNode) connect(ctx context.Context) (*demoClient, error) { return n.connectBy(ctx, 0) }

// connectBy connects one more client to one of the listeners of demoSchemes.
func (n *demoNode) connectBy(ctx context.Context, listener int) (*demoClient, error) {
	codec, err := framing.Parse(n.framing, nil)
	if err != nil {
		return nil, err
	}
	addr := demoSchemes[listener] + "://" + n.Addrs()[listener].String()
	c, err := dialDemo(ctx, addr, client.Config{Codec: codec, TLS: n.trust})
	if err != nil {
		return nil, err
	}
	if err := c.readGreeting(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// expectOutcome checks that a send to id has the outcome want, at once or, if
// that is not known here yet, as soon as it is.
func (n *demoNode) expectOutcome(ctx context.Context, id node.ID, want error) error {
	err := n.sendUntil(ctx, id, func(err error) bool { return !errors.Is(err, node.ErrUnreachable) })
	if !errors.Is(err, want) {
		return fmt.Errorf("%s: %w, not %w", n.name, orWritten(err), want)
	}
	return nil
}

// sendUntil sends to id until settled says so of the outcome, or ctx is done.
func (n *demoNode) sendUntil(ctx context.Context, id node.ID, settled func(error) bool) (outcome error) {
	err := await(ctx, func() error {
		outcome = n.Send(ctx, id, []byte("anybody there?"))
		if settled(outcome) {
			return nil
		}
		return outcome
	})
	return cmp.Or(err, outcome)
}

// orWritten makes an error of the outcome that is none.
func orWritten(err error) error { return cmp.Or(err, errWritten) }

var errWritten = errors.New("a message was written that nobody should get")

// sees checks that n sees all of others, under their numbers, ready and linked.
func (n *demoNode) sees(others []*demoNode) error {
	nodes := n.Nodes()
	for _, o := range others {
		i := slices.IndexFunc(nodes, func(i node.NodeInfo) bool { return i.Number == o.Number() })
		switch {
		case i < 0:
			return fmt.Errorf("%s does not see %s under its number %s", n.name, o.name, o.Number())
		case nodes[i].Name != o.name || nodes[i].State != "ready":
			return fmt.Errorf("%s sees %s as %q, %s", n.name, o.name, nodes[i].Name, nodes[i].State)
		case o != n && nodes[i].Link != "up":
			return fmt.Errorf("the link from %s to %s is %s", n.name, o.name, nodes[i].Link)
		}
	}
	return nil
}

// balance checks that every connection of this life has ended, and was counted
// once.
func (n *demoNode) balance() (accepted uint64, err error) {
	st := n.Stats()
	var ended uint64
	for _, k := range st.Closed {
		ended += k
	}
	if st.Connections != 0 || ended != st.Accepted || st.QueuedMessages != 0 {
		return 0, fmt.Errorf("the accounts of %s do not balance: %+v", n.name, st)
	}
	return st.Accepted, nil
}

// await waits until holds returns nil, or ctx is done.
func await(ctx context.Context, holds func() error) error {
	const often = 5 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// freeAddrs returns addresses on loopback of which neither the TCP nor the UDP
// port is in use. They lie below the ports that systems choose themselves
// (32768 to 60999 on Linux, from 49152 on elsewhere), so that only who asks for
// one by its number could take it before the node does, or while the node is
// down.
func freeAddrs(ctx context.Context, n int) (addrs []string, err error) {
	const from, to, tries = 20000, 32000, 1000
	var lc net.ListenConfig
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(from+rand.IntN(to-from)))
		var ln net.Listener
		if ln, err = lc.Listen(ctx, "tcp", addr); err != nil {
			continue
		}
		defer ln.Close() // held until all are found
		var pc net.PacketConn
		if pc, err = lc.ListenPacket(ctx, "udp", addr); err != nil {
			continue
		}
		defer pc.Close()
		if addrs = append(addrs, addr); len(addrs) == n {
			return addrs, nil
		}
	}
	return nil, fmt.Errorf("%d free ports for the nodes: %w", n, err)
}
