package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
)

const (
	// lastWordTimeout bounds the recording of the end of a life. It takes so
	// long only while most voters are there and yet record nothing.
	lastWordTimeout = 10 * time.Second

	// handoverTimeout bounds what a voter does to be missed less.
	handoverTimeout = 3 * time.Second

	// goodbyeTimeout bounds the goodbye of gossip, which nobody may be left to
	// hear when all nodes end together. It is a hint: the end of the life is
	// recorded by then.
	goodbyeTimeout = time.Second
)

// ErrLifeEnded says that the cluster has recorded the end of this life while it
// ran: its ids are gone everywhere else. Usually its data directory was copied,
// and the copy started elsewhere. Another start is another life, which nothing
// stands against.
var ErrLifeEnded = errors.New("the cluster has ended this life")

// ErrRetired says that the cluster has retired this life: it was lost for long, or
// an operator said that it is. Its ids are gone everywhere else. Another life, on
// the same data directory, is welcome.
var ErrRetired = errors.New("the cluster has retired this life")

// Run takes part in the cluster until ctx is done, and then leaves it in
// order. It returns when every goroutine has ended. It also ends when the port
// fails, and with ErrLifeEnded or ErrRetired. A consensus that has failed does not end it:
// sends and closes need none.
func (c *Cluster) Run(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	ports := start(base, "port", c.port.Run)
	secrets := start(base, "trust", c.followTrust)
	meshes := start(base, "mesh", c.mesh.Run)
	streams := start(base, "streams", c.acceptMesh)
	members := start(base, "gossip", c.gossip.Run)
	notices := start(base, "notice", c.spread)
	watch := start(base, "members", c.watchMembers)
	contacts := start(base, "contacts", c.watchContacts)
	views := start(base, "views", c.watchViews)
	reads := start(base, "reads", c.serveReads)
	votes := start(base, "consensus", c.takePart)
	found := start(base, "founding", c.join)
	waits := start(base, "waiting", c.reportWaiting)

	var err error
	select {
	case <-ctx.Done():
	case <-ports.ended:
	case <-members.ended:
	case <-meshes.ended:
	case <-c.ended:
		err = fmt.Errorf("cluster: %w", c.endErr)
	}
	// No founding while one leaves; consensus goes while the mesh still carries
	// its requests, and the port last.
	parts := []*running{waits, found, contacts}
	err = errors.Join(err, stopAll(parts))
	c.Leave(base)
	parts = []*running{votes, reads, views, watch, notices, members, streams, meshes, secrets, ports}
	return errors.Join(err, stopAll(parts))
}

// Drain announces that this node takes no more clients and is about to leave. It
// does not wait.
func (c *Cluster) Drain() { c.announce(func(m *gossip.Meta) { m.State = gossip.StateDraining }) }

// HandOver has another voter lead if this node does, and returns when that is done,
// after 3 s at most or when ctx is done. Nothing keeps the lead from coming back.
func (c *Cluster) HandOver(ctx context.Context) {
	if err := within(ctx, handoverTimeout, c.seat().server.HandOver); err != nil {
		c.cfg.Logger.Debug("the lead was not handed over", "err", err)
	}
}

// Leave says goodbye: no id of this life leads here any more, and consensus does
// not count on it. It blocks until that is recorded, ctx is done or 13 s are over;
// what is not recorded by then others find out later. Run, whose context is to
// be ended next, does the same unless it was done before. Of calls beside each other
// one leaves and the others wait for it, and the first ctx that is done ends them all.
func (c *Cluster) Leave(ctx context.Context) {
	defer context.AfterFunc(ctx, c.Hasten)()
	if c.leaving.CompareAndSwap(false, true) {
		c.leave(c.departing) //nolint:contextcheck // which ends with the context of any caller
		close(c.left)
	}
	<-c.left
}

// Hasten cuts leaving short, also one that begins later: no time is left for it. It
// does not wait.
func (c *Cluster) Hasten() { c.hasten() }

func (c *Cluster) leave(ctx context.Context) {
	c.Drain()
	if c.over() {
		c.cfg.Logger.Debug("the end of this life is recorded already")
	} else if err := within(ctx, lastWordTimeout, c.endLife); err != nil {
		c.cfg.Logger.Info("left without the end of this life being recorded: its ids answer unreachable until the next start",
			"err", err)
	}
	if err := within(ctx, handoverTimeout, c.seat().server.Leave); err != nil && !errors.Is(err, consensus.ErrStopped) {
		c.cfg.Logger.Debug("left without handing over", "err", err)
	}
}

// within gives do so much time.
func within(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return do(ctx)
}

// running is a part that runs, and how it ended.
type running struct {
	name   string
	cancel context.CancelFunc
	wg     sync.WaitGroup
	ended  chan struct{} // closed when the part has returned
	err    error         // set before ended is closed
}

func start(ctx context.Context, name string, run func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{name: name, cancel: cancel, ended: make(chan struct{})}
	r.wg.Go(func() {
		defer close(r.ended)
		r.err = run(ctx)
	})
	return r
}

// stop ends the part and returns what it returned.
func (r *running) stop() error {
	r.cancel()
	r.wg.Wait()
	return r.err
}

// stopAll ends one part after the other.
func stopAll(parts []*running) (err error) {
	for _, r := range parts {
		if e := r.stop(); e != nil {
			err = errors.Join(err, fmt.Errorf("cluster: %s: %w", r.name, e))
		}
	}
	return err
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
