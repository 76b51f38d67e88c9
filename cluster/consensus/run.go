package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	snapshotThreshold = 1024 // entries
	trailingLogs      = 512  // entries kept behind a snapshot

	// observations is the room for what raft tells; one over it is dropped:
	// whoever looks at the state for one of those that wait sees what it told.
	observations = 64

	// drainTimeout bounds how long a stop waits for answers of raft: it
	// forgets some requests when it ends.
	drainTimeout = time.Second
)

// Run waits for a cluster id and then takes part in raft until ctx is done or
// something ends it. It owns every goroutine of the Server. After an orderly
// stop it returns nil; otherwise the error matches ErrStoreFailed,
// ErrSuperseded, ErrRemoved, ErrWrongCluster, ErrStalled or ErrDiverged. While
// the disk hangs it does not return. Run is called once.
//
// Before an orderly stop, Leave hands leadership over.
func (s *Server) Run(ctx context.Context) error {
	err := s.run(ctx)
	if err != nil {
		err = fmt.Errorf("consensus: %w", err)
	}
	s.mu.Lock()
	s.phase, s.err = Stopped, err
	s.mu.Unlock()
	s.announce()
	return err
}

func (s *Server) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.store.Failed():
		return s.store.Err()
	case <-s.store.known:
	}
	cluster, err := s.store.Cluster()
	if err != nil {
		return err
	}
	s.cluster = cluster

	layer := newStreams(s)
	transport := newRaftTransport(s, layer)
	var wg sync.WaitGroup
	wg.Go(layer.run)
	defer func() {
		transport.Close()
		transport.CloseStreams()
		layer.raftHolds.Wait()
		wg.Wait()
	}()

	node, err := s.start(transport)
	if err != nil {
		return err
	}
	return s.attend(ctx, node, layer)
}

// start makes raft, which then runs.
func (s *Server) start(transport raft.Transport) (node *raft.Raft, err error) {
	conf := s.raftConfig()
	if err := s.bootstrap(conf, transport); err != nil {
		return nil, err
	}
	f := newFSM(s.cluster, s.stop, s.announce)
	defer func() {
		// raft panics when the store fails while it starts.
		if r := recover(); r != nil {
			if s.store.Err() == nil {
				panic(r)
			}
			err = s.store.Err()
		}
	}()
	node, err = raft.NewRaft(conf, f, s.store.raft, s.store.raft, s.store.snaps, transport)
	if err != nil {
		return nil, errors.Join(s.stop.get(), err)
	}
	s.store.raft.armed.Store(true)
	s.mu.Lock()
	s.node, s.fsm, s.phase = node, f, Running
	s.mu.Unlock()
	s.announce()
	return node, nil
}

func (s *Server) raftConfig() *raft.Config {
	conf := raft.DefaultConfig()
	conf.LocalID = raftID(s.self.Server)
	conf.HeartbeatTimeout = s.cfg.HeartbeatTimeout
	conf.ElectionTimeout = s.cfg.ElectionTimeout
	conf.LeaderLeaseTimeout = s.cfg.LeaseTimeout
	conf.CommitTimeout = s.cfg.CommitTimeout
	conf.SnapshotThreshold = snapshotThreshold
	conf.TrailingLogs = trailingLogs
	conf.Logger = newHclog(s.log)
	return conf
}

// bootstrap writes raft's first configuration if this server is the one to do
// it and has not done it before.
func (s *Server) bootstrap(conf *raft.Config, transport raft.Transport) error {
	first, ok, err := s.store.first()
	if err != nil || !ok {
		return err
	}
	var servers []raft.Server
	for _, id := range first.Servers {
		servers = append(servers, raft.Server{ID: raftID(id), Address: raftAddress(id)})
	}
	err = raft.BootstrapCluster(conf, s.store.raft, s.store.raft, s.store.snaps, transport,
		raft.Configuration{Servers: servers})
	if errors.Is(err, raft.ErrCantBootstrap) {
		return nil
	}
	return err
}

// attend runs beside raft until the end, and ends raft.
func (s *Server) attend(ctx context.Context, node *raft.Raft, layer *streams) error {
	seen := make(chan raft.Observation, observations)
	observer := raft.NewObserver(seen, false, observed)
	node.RegisterObserver(observer)

	duties := &duties{s: s, node: node}
	err := s.watch(ctx, node, seen, duties)
	duties.end()
	answered := s.refuseWaiters()
	if err == nil {
		s.drain(answered)
	}
	ended := node.Shutdown()
	layer.cutOff()
	if e := ended.Error(); e != nil {
		s.log.Warn("raft ended with an error", "error", e)
	}
	node.DeregisterObserver(observer)
	s.drain(answered)
	return err
}

// observed picks what changes State.
func observed(o *raft.Observation) bool {
	switch o.Data.(type) {
	case raft.LeaderObservation, raft.RaftState, raft.PeerObservation:
		return true
	}
	return false
}

// watch returns nil when ctx is done, otherwise why raft cannot go on.
func (s *Server) watch(ctx context.Context, node *raft.Raft, seen <-chan raft.Observation, d *duties) error {
	tick := time.NewTicker(s.cfg.ElectionTimeout)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.store.Failed():
			return s.store.Err()
		case <-s.stop.done:
			return s.stop.get()
		case leading := <-node.LeaderCh():
			d.end()
			if leading {
				d.begin(ctx)
			}
		case <-seen:
			s.announce()
		case <-tick.C:
		}
		if node.State() == raft.Shutdown {
			return ErrRemoved
		}
	}
}

// refuseWaiters lets nobody wait for raft any more. The channel is closed when
// all who do have their answers.
func (s *Server) refuseWaiters() <-chan struct{} {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	answered := make(chan struct{})
	// Not waited for: raft forgets some of its futures when it ends, and then
	// this goroutine and theirs are left behind.
	go func() {
		s.waiters.Wait()
		close(answered)
	}()
	return answered
}

func (s *Server) drain(answered <-chan struct{}) {
	limit := time.NewTimer(drainTimeout)
	defer limit.Stop()
	select {
	case <-answered:
	case <-limit.C:
		s.log.Warn("raft owes answers at its end")
	}
}

// await asks raft for something and waits for the answer, or until ctx is
// done. Raft may be stuck even in taking the question, hence the goroutine.
func (s *Server) await(ctx context.Context, ask func() raft.Future) error {
	answer := make(chan error, 1)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrStopped
	}
	s.waiters.Go(func() { answer <- ask().Error() })
	s.mu.Unlock()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
