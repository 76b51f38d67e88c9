package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

const (
	// maxRequests bounds the grants that wait for their tick: eight seconds'
	// worth. One more is ErrBusy.
	maxRequests = 128

	// maxReads bounds the callers of Confirm and EndLife that wait.
	maxReads = 1024

	// enqueueTimeout bounds how long raft may take to look at a command, not
	// how long to commit it.
	enqueueTimeout = 5 * time.Second
)

// duties are what this server does while it leads. Its methods are called by
// one goroutine.
type duties struct {
	s      *Server
	node   *raft.Raft
	cancel context.CancelFunc // nil: not leading
	wg     sync.WaitGroup
}

// begin starts a term. It does not end with ctx: at a stop, answers under way
// are waited for.
func (d *duties) begin(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.cancel = cancel
	d.wg.Go(func() { d.s.lead(ctx, d.node) })
}

// end returns when every goroutine of the term has ended.
func (d *duties) end() {
	if d.cancel != nil {
		d.cancel()
		d.wg.Wait()
		d.cancel = nil
	}
}

// term is one time of leading.
type term struct {
	s    *Server
	node *raft.Raft
	fsm  *fsm

	grants chan *request // sent by Grant, taken by grantLoop; never closed
	reads  chan *request // sent by Confirm, taken by confirmLoop; never closed
	slots  chan struct{} // a token for each EndLife that waits
	done   <-chan struct{}
}

// request waits for an answer, of which there is one at most.
type request struct {
	grant  idspace.Grant
	answer chan reply // room for one
}

type reply struct {
	res  idspace.Result
	last idspace.NodeNumber
	err  error
}

// lead serves from the moment everything committed before is applied.
func (s *Server) lead(ctx context.Context, node *raft.Raft) {
	s.contacts.reset()
	t := &term{
		s:      s,
		node:   node,
		fsm:    s.fsm,
		grants: make(chan *request, maxRequests),
		reads:  make(chan *request, maxReads),
		slots:  make(chan struct{}, maxReads),
		done:   ctx.Done(),
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	// The watchdog minds the beginning, too: it commits as the rest does.
	wg.Go(func() { t.watchdog(ctx) })
	for {
		err := t.establish(ctx)
		if err == nil {
			break
		}
		s.log.Warn("leading without serving", "error", err)
		if !waitUntil(ctx, time.Now().Add(s.cfg.ElectionTimeout)) {
			return
		}
	}
	s.setTerm(t)
	defer s.setTerm(nil)
	wg.Go(func() { t.grantLoop(ctx) })
	wg.Go(func() { t.confirmLoop(ctx) })
	wg.Go(func() { t.reconcile(ctx) })
	<-ctx.Done()
}

func (t *term) establish(ctx context.Context) error {
	if err := t.barrier(ctx); err != nil {
		return err
	}
	if t.fsm.founded() {
		return nil
	}
	_, err := t.apply(ctx, foundingCommand(t.s.cluster))
	return err
}

func (s *Server) setTerm(t *term) {
	s.mu.Lock()
	s.term = t
	s.mu.Unlock()
	s.announce()
}

// leading returns the term to serve in, or a NotLeaderError.
func (s *Server) leading() (*term, error) {
	s.mu.Lock()
	phase, node, t := s.phase, s.node, s.term
	s.mu.Unlock()
	switch {
	case phase != Running:
		return nil, ErrStopped
	case t != nil:
		return t, nil
	}
	err := &NotLeaderError{}
	if _, leader := node.LeaderWithID(); fromRaft(leader) != s.self.Server {
		err.Leader = fromRaft(leader)
	}
	return nil, err
}

// apply commits a command. The error is that of raft or of the registry.
func (t *term) apply(ctx context.Context, cmd []byte) (idspace.Result, error) {
	futures := make(chan raft.ApplyFuture, 1)
	err := t.s.await(ctx, func() raft.Future {
		f := t.node.Apply(cmd, enqueueTimeout)
		futures <- f
		return f
	})
	if err != nil {
		return idspace.Result{}, raftError(err)
	}
	a := (<-futures).Response().(applied)
	return a.res, a.err
}

// barrier returns once everything committed before it is applied here.
func (t *term) barrier(ctx context.Context) error {
	return t.s.await(ctx, func() raft.Future { return t.node.Barrier(enqueueTimeout) })
}

// raftError tells what certainly was not committed from what may have been.
func raftError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %w", &NotLeaderError{}, err)
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case errors.Is(err, ErrStopped):
		return err
	}
	return fmt.Errorf("%w: %w", ErrUncertain, err)
}
