package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"flamingo/idspace"
)

// Peers carries the promise round. It asks other servers, never this one.
type Peers interface {
	// AskPromise has the peer answer with its Store.Promise, or with
	// Store.Answer if it would not choose the servers of p itself. After an
	// error the promise may have been made or not.
	AskPromise(ctx context.Context, to idspace.ServerID, p Proposal) (Answer, error)

	// Release has the peer call its Store.ReleasePromise.
	Release(ctx context.Context, to idspace.ServerID, p Proposal) error
}

const (
	defaultRoundEvery  = 500 * time.Millisecond
	defaultGiveUpAfter = 20 // rounds: ten seconds and more
)

// ProposerConfig holds the settings of a Proposer.
type ProposerConfig struct {
	Store *Store // required
	Peers Peers  // required

	// Choose returns the voters of a new proposal, which are blank and
	// reachable and include this server; none while there are too few, or
	// while any member has a cluster id. Order does not matter. It is called
	// in every round, and a proposal of other servers is abandoned. Required.
	Choose func() []idspace.ServerID

	// Random makes cluster ids; crypto/rand.Reader. Required.
	Random io.Reader

	// RoundEvery is the pause between two rounds, stretched at random up to
	// twice its length. Zero means 500 ms; not negative.
	RoundEvery time.Duration

	// GiveUpAfter is the number of rounds after which a proposal that lacks a
	// promise is abandoned, so that the next one lists servers that answer.
	// Zero means 20; not negative.
	GiveUpAfter int

	// Logger may be nil.
	Logger *slog.Logger
}

// Proposer founds a cluster: it proposes a first configuration until every
// server listed has promised it, or until there is a cluster without it.
type Proposer struct {
	cfg  ProposerConfig
	self idspace.ServerID
	log  *slog.Logger

	rounds int // owned by whoever calls round: those of the proposal at hand
}

// NewProposer starts nothing.
func NewProposer(cfg ProposerConfig) (*Proposer, error) {
	var errs []error
	if cfg.Store == nil || cfg.Peers == nil || cfg.Choose == nil || cfg.Random == nil {
		errs = append(errs, errors.New("Store, Peers, Choose and Random are required"))
	}
	if cfg.RoundEvery < 0 || cfg.GiveUpAfter < 0 {
		errs = append(errs, errors.New("RoundEvery and GiveUpAfter must not be negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("consensus: proposer config: %w", err)
	}
	if cfg.RoundEvery == 0 {
		cfg.RoundEvery = defaultRoundEvery
	}
	if cfg.GiveUpAfter == 0 {
		cfg.GiveUpAfter = defaultGiveUpAfter
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Proposer{cfg: cfg, self: cfg.Store.Identity().Server, log: cfg.Logger}, nil
}

// Run proposes until this server belongs to a cluster, and then returns nil;
// or until a peer says that there is one, with an error that matches
// ErrClusterKnown; or until the servers to propose change, with one that
// matches ErrOutdated; until the store fails or ctx is done. Only one Run at a
// time.
func (p *Proposer) Run(ctx context.Context) error {
	for {
		founded, err := p.round(ctx)
		switch {
		case founded:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("consensus: propose: %w", ctx.Err())
		case errors.Is(err, ErrClusterKnown), errors.Is(err, ErrOutdated),
			errors.Is(err, ErrStoreFailed), errors.Is(err, ErrBadRecord):
			return fmt.Errorf("consensus: propose: %w", err)
		case err != nil:
			p.log.Debug("proposal waits", "error", err)
		}
		// Proposers that began at once part at random.
		pause := time.NewTimer(p.cfg.RoundEvery + rand.N(p.cfg.RoundEvery))
		select {
		case <-p.cfg.Store.known:
			pause.Stop()
			return nil
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

// round goes once through the servers of our proposal, making one if this
// server is free to. It reports whether this server belongs to a cluster.
func (p *Proposer) round(ctx context.Context) (founded bool, err error) {
	if cluster, err := p.cfg.Store.Cluster(); err != nil || !cluster.IsZero() {
		return err == nil, err
	}
	ours, ok, err := p.proposal(ctx)
	if !ok || err != nil {
		return false, err
	}
	promised := 1 // our own
	for _, id := range ours.Servers {
		if id == p.self {
			continue
		}
		ok, err := p.ask(ctx, id, ours)
		if errors.Is(err, ErrYielded) || errors.Is(err, ErrClusterKnown) {
			return false, errors.Join(err, p.abandon(ctx, ours))
		}
		if ok {
			promised++
		}
	}
	// Asking took a while, in which others may have come into view.
	if promised == len(ours.Servers) && slices.Equal(p.choose(), ours.Servers) {
		if err := p.cfg.Store.write(ours); err != nil {
			return false, err
		}
		p.log.Info("cluster founded", "cluster", ours.Cluster, "voters", ours.Servers)
		return true, nil
	}
	if p.rounds++; p.rounds >= p.cfg.GiveUpAfter {
		return false, p.abandon(ctx, ours)
	}
	return false, nil
}

// proposal returns our proposal, made if need be; ok is false while this
// server is promised to another or too few servers are there.
func (p *Proposer) proposal(ctx context.Context) (ours Proposal, ok bool, err error) {
	st, err := p.cfg.Store.loadPromises()
	switch {
	case err != nil:
		return Proposal{}, false, err
	case st.own:
		if now := p.choose(); len(now) > 0 && !slices.Equal(now, st.held.Servers) {
			return Proposal{}, false, errors.Join(ErrOutdated, p.abandon(ctx, st.held))
		}
		return st.held, true, nil
	case !st.held.IsZero():
		return Proposal{}, false, p.recheck(ctx, st.held)
	}
	servers := p.choose()
	if !slices.Contains(servers, p.self) {
		return Proposal{}, false, nil
	}
	cluster, err := idspace.NewClusterID(p.cfg.Random)
	if err != nil {
		return Proposal{}, false, err
	}
	ours = Proposal{Cluster: cluster, Proposer: p.self, Servers: servers}
	if err := ours.check(); err != nil {
		return Proposal{}, false, err
	}
	p.rounds = 0
	if _, err := p.cfg.Store.changePromises(func(st *promises) error { return st.propose(ours) }); err != nil {
		return Proposal{}, false, err
	}
	return ours, true, nil
}

// choose returns the servers to propose now, ascending; none for now is empty.
func (p *Proposer) choose() []idspace.ServerID {
	servers := slices.Clone(p.cfg.Choose())
	sortServers(servers)
	return servers
}

// recheck gives the promise we hold back if its proposer does not stand by it.
func (p *Proposer) recheck(ctx context.Context, held Proposal) error {
	ans, err := p.cfg.Peers.AskPromise(ctx, held.Proposer, held)
	switch {
	case err != nil:
		return err
	case !ans.Cluster.IsZero():
		return fmt.Errorf("%w: %v, says %v", ErrClusterKnown, ans.Cluster, held.Proposer)
	case ans.Granted:
		return fmt.Errorf("%w: of %v", ErrPromised, held.Proposer)
	}
	_, err = p.cfg.Store.ReleasePromise(held)
	return err
}

// ask asks one server. When it holds another proposal, that one's proposer is
// asked whether it stands by it; the question makes it yield if it is the
// higher one.
func (p *Proposer) ask(ctx context.Context, id idspace.ServerID, ours Proposal) (promised bool, err error) {
	ans, err := p.cfg.Peers.AskPromise(ctx, id, ours)
	switch {
	case err != nil:
		return false, err
	case !ans.Cluster.IsZero():
		return false, fmt.Errorf("%w: %v, says %v", ErrClusterKnown, ans.Cluster, id)
	case ans.Granted || ans.Holding.IsZero():
		return ans.Granted, nil
	}
	other := ans.Holding
	if stands, err := p.stands(ctx, id, other, ans, ours); err != nil || stands {
		return false, err
	}
	if err := p.cfg.Peers.Release(ctx, id, other); err != nil {
		return false, err
	}
	ans, err = p.cfg.Peers.AskPromise(ctx, id, ours)
	return err == nil && ans.Granted, err
}

// stands reports whether the proposer of other, which id holds, stands by it.
// A lower one that does is ErrYielded.
func (p *Proposer) stands(ctx context.Context, id idspace.ServerID, other Proposal, ans Answer, ours Proposal) (bool, error) {
	if other.Proposer == p.self {
		st, err := p.cfg.Store.loadPromises()
		return st.held.Equal(other), err
	}
	if other.Proposer != id {
		var err error
		if ans, err = p.cfg.Peers.AskPromise(ctx, other.Proposer, ours); err != nil {
			return false, err
		}
	}
	switch {
	case !ans.Cluster.IsZero():
		return true, fmt.Errorf("%w: %v, says %v", ErrClusterKnown, ans.Cluster, other.Proposer)
	case !ans.Holding.Equal(other):
		return false, nil
	case other.Less(ours):
		return true, fmt.Errorf("%w: of %v", ErrYielded, other.Proposer)
	}
	return true, nil
}

// abandon gives our proposal up and then has its promises given back. Those it
// does not reach find out when they are asked for another one.
func (p *Proposer) abandon(ctx context.Context, ours Proposal) error {
	var abandoned bool
	_, err := p.cfg.Store.changePromises(func(st *promises) error {
		abandoned = st.abandon(ours)
		return nil
	})
	if err != nil || !abandoned {
		return err
	}
	for _, id := range ours.Servers {
		if id == p.self {
			continue
		}
		if err := p.cfg.Peers.Release(ctx, id, ours); err != nil {
			p.log.Debug("promise not given back yet", "server", id, "error", err)
		}
	}
	return nil
}
