package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxDrain bounds each of the times of a drain.
const maxDrain = 24 * time.Hour

// A DrainPlan says how a node is taken out of service.
type DrainPlan struct {
	// Wait is how long the node goes on as before, new clients included, once it
	// says that it drains, so that a load balancer sends new clients elsewhere
	// before they are refused. 0 to 24 h.
	Wait time.Duration

	// Duration is the time over which it then ends its connections, evenly. Zero
	// ends all at once; at most 24 h.
	Duration time.Duration
}

// faults returns what is wrong with the plan.
func (p DrainPlan) faults() (faults []error) {
	for _, o := range []struct {
		name  string
		value time.Duration
	}{{"DrainWait", p.Wait}, {"DrainDuration", p.Duration}} {
		if o.value < 0 || o.value > maxDrain {
			faults = append(faults, badOption(o.name, o.value, fmt.Sprintf("0 to %v", maxDrain)))
		}
	}
	return faults
}

// DrainPhase is how far a drain has come. It only moves on, in this order.
type DrainPhase string

// The phases of a drain.
const (
	DrainNone    DrainPhase = "serving" // none has begun
	DrainWaiting DrainPhase = "waiting" // everybody is served, new clients too
	DrainEnding  DrainPhase = "ending"  // no new clients; connections end one after the other
	DrainOver    DrainPhase = "drained" // every connection has been ended, or Close has taken over
)

// DrainProgress says how far a drain has come.
type DrainProgress struct {
	Phase    DrainPhase
	Plan     DrainPlan
	Began    time.Time // zero until one has begun
	Ending   time.Time // when connections began to be ended; zero until then
	Departed int       // connections that the drain has ended, or is ending
	Left     int       // open connections that it has not ended
}

// A draining is the drain of a node, of which there is one at most.
type draining struct {
	done chan struct{} // closed when the drain is over; never if none begins

	mu       sync.Mutex
	refused  bool               // guarded by mu: Close has begun, and no drain begins any more
	stop     context.CancelFunc // guarded by mu: nil until it begins
	progress DrainProgress      // guarded by mu, but for the counts, which are the transport's
}

func newDraining() *draining {
	return &draining{done: make(chan struct{}), progress: DrainProgress{Phase: DrainNone}}
}

// enter begins a phase.
func (d *draining) enter(p DrainPhase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.progress.Phase = p
	if p == DrainEnding {
		d.progress.Ending = time.Now()
	}
}

// end ends the drain under way, if there is one, and keeps others from beginning.
func (d *draining) end() {
	d.mu.Lock()
	d.refused = true
	stop := d.stop
	d.mu.Unlock()
	if stop != nil {
		stop()
		<-d.done
	}
}

// Drain takes the node out of service in order, and closes it: StartDrain with
// Opts.DrainWait and Opts.DrainDuration, or the drain that is under way, then Close
// when that is over. When ctx is done first it closes at once, as Close does then.
func (n *Node) Drain(ctx context.Context) error {
	err := n.StartDrain(n.DrainDefault()) //nolint:contextcheck // the drain lives as long as the node; ctx is for the wait
	if err == nil {
		select {
		case <-n.Drained():
		case <-ctx.Done():
		}
	}
	return n.Close(ctx)
}

// StartDrain begins to take the node out of service, and returns. From now on the
// node says that it drains, in Nodes of every node and in /readyz; a voter that leads
// hands over. After plan.Wait it accepts no more clients, and over plan.Duration it
// ends its connections with ReasonDrained, evenly, first those that are silent the
// longest. Until its turn each is served, and sent to by other nodes; what it was
// sent before is written. Then Drained is closed, and the program calls Close.
//
// A drain that is under way goes on as it was planned. ErrClosed says that Close was
// called, ErrBadOption that a time of the plan is out of its range.
func (n *Node) StartDrain(plan DrainPlan) error {
	if faults := plan.faults(); len(faults) > 0 {
		return fmt.Errorf("flamingo: drain: %w", errors.Join(faults...))
	}
	d := n.drain
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.refused:
		return fmt.Errorf("flamingo: drain: %w", ErrClosed)
	case d.stop != nil:
		return nil
	}
	ctx, stop := context.WithCancel(n.life)
	d.stop = stop
	d.progress.Phase, d.progress.Plan, d.progress.Began = DrainWaiting, plan, time.Now()
	n.running.Go(func() {
		defer close(d.done)
		defer d.enter(DrainOver)
		defer stop()
		n.runDrain(ctx, plan)
	})
	return nil
}

// Drained returns a channel that is closed when a drain is over: every connection
// has been ended, or Close was called meanwhile.
func (n *Node) Drained() <-chan struct{} { return n.drain.done }

// DrainProgress returns how far the drain of this node has come.
func (n *Node) DrainProgress() DrainProgress {
	n.drain.mu.Lock()
	p := n.drain.progress
	n.drain.mu.Unlock()
	p.Departed, p.Left = n.clients.Departed(), n.clients.Left()
	return p
}

// runDrain drains the node until that is done or ctx is.
func (n *Node) runDrain(ctx context.Context, plan DrainPlan) {
	wait := time.NewTimer(plan.Wait)
	defer wait.Stop()
	if plan.Wait > 0 {
		n.logger.Info("draining: everybody is served, new clients too", "wait", plan.Wait, "connections", n.clients.Left())
	}
	if n.member != nil {
		n.member.drain()
		n.member.cluster().HandOver(ctx)
	}
	select {
	case <-wait.C:
	case <-ctx.Done():
		return
	}
	n.clients.StopAccepting()
	n.drain.enter(DrainEnding)
	n.logger.Info("draining: no new clients, connections end, those first that are silent the longest",
		"over", plan.Duration, "connections", n.clients.Left())
	var telling sync.WaitGroup
	defer telling.Wait()
	told, stop := context.WithCancel(ctx)
	defer stop()
	telling.Go(func() { n.tellDrain(told, plan.Duration/10) })
	if n.clients.Drain(ctx, plan.Duration) == nil {
		n.logger.Info("drained", "departed", n.clients.Departed())
	}
}

// tellDrain says in the log how far the drain has come, until ctx is done: ten times,
// but not more often than every second.
func (n *Node) tellDrain(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(max(every, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.logger.Info("draining", "departed", n.clients.Departed(), "left", n.clients.Left())
		case <-ctx.Done():
			return
		}
	}
}

// DrainDefault returns the plan of Drain: what Opts say.
func (n *Node) DrainDefault() DrainPlan {
	return DrainPlan{Wait: n.opts.DrainWait, Duration: n.opts.DrainDuration}
}
