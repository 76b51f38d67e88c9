package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"flamingo/node"
	"flamingo/node/admin"
)

// devNames are the names of the nodes; their number is the most there can be.
var devNames = []string{"ash", "birch", "cedar", "elm", "fir", "hazel", "juniper", "larch", "maple"}

// devCommand is a cluster in one process, to play with.
type devCommand struct {
	Nodes    int        `default:"3" help:"How many nodes, up to 9."`
	Port     int        `default:"4100" help:"Client port of the first node; its cluster port is 10 on, its admin port 80, and each further node 100."`
	LogLevel slog.Level `default:"error" help:"Level of the nodes' log: debug, info, warn or error."`
}

// A devNode is one node of it, and what shows it.
type devNode struct {
	opts node.Opts
	view *view
	node *node.Node
	app  *app
}

// Run runs the nodes until ctx is done. They keep everything in memory.
func (c *devCommand) Run(ctx context.Context, con *console) error {
	if c.Nodes < 1 || c.Nodes > len(devNames) {
		return badUse("--nodes %d: want 1 to %d", c.Nodes, len(devNames))
	}
	if last := c.Port + (c.Nodes-1)*portStep + adminPort; c.Port < 1 || last > 1<<16-1 {
		return badUse("--port %d: want 1 to %d, so that every node has its ports", c.Port, 1<<16-1-last+c.Port)
	}
	level := new(slog.LevelVar)
	level.Set(c.LogLevel)
	nodes, err := c.open(ctx, newLogger(con.talk, level, "text"))
	switch {
	case ctx.Err() != nil:
		return closeAll(ctx, nodes)
	case err != nil:
		return errors.Join(err, closeAll(ctx, nodes))
	}
	c.announce(con, nodes)
	<-ctx.Done()
	fmt.Fprintf(con.talk, "stopping %s; once more ends at once\n", plural(len(nodes), "node"))
	level.Set(slog.LevelError + 1) // that nodes lose each other is no news
	return closeAll(ctx, nodes)
}

// open opens the nodes at the same time, since some wait for others.
func (c *devCommand) open(ctx context.Context, logger *slog.Logger) ([]*devNode, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	nodes := make([]*devNode, c.Nodes)
	var wg sync.WaitGroup
	for i := range nodes {
		nodes[i] = &devNode{opts: c.opts(i)}
		nodes[i].opts.Logger = logger.With("node", devNames[i])
		wg.Go(func() {
			if err := nodes[i].open(ctx, loopback(c.port(i)+adminPort)); err != nil {
				giveUp(c.explain(err)) // the others would wait in vain
			}
		})
	}
	wg.Wait()
	return nodes, context.Cause(ctx)
}

// explain says of a port that somebody has which option of dev moves it.
func (c *devCommand) explain(err error) error {
	if taken := (*portError)(nil); errors.As(err, &taken) {
		return fmt.Errorf("port %s is in use; choose others with --port, which is %d, or end who has it", taken.port, c.Port)
	}
	return err
}

func (c *devCommand) port(i int) int { return c.Port + i*portStep }

// opts are the options of node i. The first nodes found the cluster, as many as
// can, and the others join it.
func (c *devCommand) opts(i int) node.Opts {
	opts := node.Opts{
		Name:    devNames[i],
		Listen:  []string{"tcp://" + loopback(c.port(i)) + "?framing=line"},
		Ignore:  node.IgnoreCloses,
		Cluster: loopback(c.port(i) + clusterPort),
	}
	for k := range c.Nodes {
		opts.Join = append(opts.Join, loopback(c.port(k)+clusterPort))
	}
	if f := founders(c.Nodes); i < f {
		opts.Expect = f
	}
	return opts
}

// founders is how many of so many nodes found a cluster: an odd number, at most
// 5 (node.Opts.Expect).
func founders(nodes int) int {
	switch {
	case nodes < 3:
		return 1
	case nodes < 5:
		return 3
	default:
		return 5
	}
}

func (n *devNode) open(ctx context.Context, address string) (err error) {
	if n.view, err = openView(ctx, address, "", admin.Config{Logger: n.opts.Logger}); err != nil {
		return err
	}
	n.opts.Admin = n.view.addr.String()
	if n.node, err = node.OpenContext(ctx, n.opts); err != nil {
		return notOpened(ctx, n.opts, err)
	}
	n.app = startApp(ctx, n.node, "echo", "", n.opts.Listen, n.opts.Logger)
	n.view.Attach(n.node)
	return nil
}

// close ends the node in order, as far as it was opened, once.
func (n *devNode) close(ctx context.Context) (err error) {
	if n.node != nil {
		err = stopNode(ctx, n.node, stopTimeout)
		n.app.wait()
	}
	if n.view != nil {
		n.view.close(ctx)
	}
	return err
}

// closeAll closes the nodes one after the other: each hands its vote over to
// those that are left.
func closeAll(ctx context.Context, nodes []*devNode) error {
	var errs []error
	for _, n := range slices.Backward(nodes) {
		errs = append(errs, n.close(ctx))
	}
	return errors.Join(errs...)
}

// announce says what there is, and what to type next.
func (c *devCommand) announce(con *console, nodes []*devNode) {
	fmt.Fprintf(con.out, "flamingo dev: %s in this process, loopback only, nothing on disk; ^C ends them\n\n", plural(len(nodes), "node"))
	rows := [][]string{{"  NAME", "NUMBER", "CLIENTS", "CLUSTER", "ADMIN"}}
	for i, n := range nodes {
		rows = append(rows, []string{
			"  " + devNames[i], n.node.Number().String(), loopback(c.port(i)), n.opts.Cluster, n.view.url(),
		})
	}
	_ = printTable(con.out, rows) // a closed output ends nothing here
	last := len(nodes) - 1
	fmt.Fprintln(con.out, strings.Join([]string{
		"",
		"second terminal:  " + program() + " connect " + c.unlessDefault("", loopback(c.port(last)), "127.0.0.1:4100"),
		"third terminal:   " + program() + " send ID hello" + c.unlessDefault(" --addr ", loopback(c.port(0)+adminPort), defaultAdmin),
		"                  with the id that the second shows: any node sends to any client",
		fmt.Sprintf("then:             %[1]s nodes, %[1]s conns, %[1]s close ID", program()),
		"",
	}, "\n"))
}

// unlessDefault returns what has to be typed for an address.
func (c *devCommand) unlessDefault(before, address, standard string) string {
	if address == standard {
		return ""
	}
	return before + address
}
