package consensus

import (
	"bytes"
	"fmt"

	"flamingo/idspace"
)

// The record of the promises; servers are of 16 bytes each:
//
//	version flags cluster:16 proposer:16 server …
const (
	promiseVersion   = 1
	promiseHeaderLen = 1 + 1 + 16 + 16

	flagOwn     = 1 << 0
	flagWritten = 1 << 1
)

func (s promises) encode() []byte {
	var flags byte
	if s.own {
		flags |= flagOwn
	}
	if s.written {
		flags |= flagWritten
	}
	w := writer{promiseVersion, flags}
	w.bytes(s.held.Cluster[:])
	w.bytes(s.held.Proposer[:])
	for _, id := range s.held.Servers {
		w.bytes(id[:])
	}
	return w
}

func decodePromises(b []byte) (s promises, err error) {
	if b == nil {
		return s, nil
	}
	rest := len(b) - promiseHeaderLen
	if rest < 0 || b[0] != promiseVersion || rest%16 != 0 {
		return s, misread("promise", b)
	}
	s.own, s.written = b[1]&flagOwn != 0, b[1]&flagWritten != 0
	in := reader{b: b[2:]}
	in.bytes(s.held.Cluster[:])
	in.bytes(s.held.Proposer[:])
	for len(in.b) > 0 {
		var id [16]byte
		in.bytes(id[:])
		s.held.Servers = append(s.held.Servers, id)
	}
	if s.held.IsZero() {
		return promises{}, nil
	}
	if err := s.held.check(); err != nil {
		return promises{}, fmt.Errorf("%w: promise: %w", ErrBadRecord, err)
	}
	return s, nil
}

// changePromises applies fn durably; what it leaves as it was is not written
// again. Of a server whose own proposal is written nothing changes any more: fn
// is not called then, and the cluster is returned.
func (s *Store) changePromises(fn func(*promises) error) (idspace.ClusterID, error) {
	var cluster idspace.ClusterID
	err := s.records.change(recordPromise, func(old []byte) ([]byte, error) {
		p, err := decodePromises(old)
		if err != nil {
			return nil, err
		}
		if p.written {
			cluster = p.held.Cluster
			return nil, nil
		}
		if err := fn(&p); err != nil {
			return nil, err
		}
		if now := p.encode(); !bytes.Equal(now, old) {
			return now, nil
		}
		return nil, nil
	})
	return cluster, err
}

// Promise answers a proposer, for the mesh to carry. What it grants is durable
// on return and holds until ReleasePromise or ForgetPromise. The error matches
// ErrBadProposal, or ErrStoreFailed.
func (s *Store) Promise(p Proposal) (Answer, error) { return s.answer(p, true) }

// Answer answers a proposer as Promise does, but makes no new promise.
func (s *Store) Answer(p Proposal) (Answer, error) { return s.answer(p, false) }

func (s *Store) answer(p Proposal, willing bool) (Answer, error) {
	if err := p.check(); err != nil {
		return Answer{}, fmt.Errorf("consensus: promise: %w", err)
	}
	// A server that joins a cluster while it answers does no harm: its promise
	// goes to no other proposal, and later answers name the cluster.
	if cluster, err := s.Cluster(); err != nil || !cluster.IsZero() {
		return Answer{Cluster: cluster}, err
	}
	var ans Answer
	cluster, err := s.changePromises(func(st *promises) error {
		ans = st.promise(s.self.Server, p, willing)
		return nil
	})
	if err != nil {
		return Answer{}, fmt.Errorf("consensus: promise: %w", err)
	}
	if !cluster.IsZero() {
		return Answer{Cluster: cluster}, nil
	}
	return ans, nil
}

// ReleasePromise gives the promise to exactly p back, durably on return; it
// reports whether it was held. Only for a proposal that its proposer is known
// to have abandoned, which is what Proposer sends it for.
func (s *Store) ReleasePromise(p Proposal) (bool, error) {
	var released bool
	_, err := s.changePromises(func(st *promises) error {
		released = st.release(p)
		return nil
	})
	return released, err
}

// Held returns the proposal this server is promised to, zero for none.
func (s *Store) Held() (Proposal, error) {
	p, err := s.loadPromises()
	return p.held, err
}

func (s *Store) loadPromises() (promises, error) {
	val, err := s.records.load(recordPromise)
	if err != nil {
		return promises{}, err
	}
	return decodePromises(val)
}

// write makes our own proposal final and joins its cluster; what it lists is
// raft's first configuration, which a starting Server writes.
func (s *Store) write(p Proposal) error {
	cluster, err := s.changePromises(func(st *promises) error { return st.write(p) })
	if err != nil {
		return err
	}
	if !cluster.IsZero() && cluster != p.Cluster {
		return fmt.Errorf("%w: %v", ErrClusterKnown, cluster)
	}
	return s.Join(p.Cluster)
}

// finishWrite joins the cluster of a written proposal if a crash came between.
func (s *Store) finishWrite() error {
	p, err := s.loadPromises()
	if err != nil || !p.written {
		return err
	}
	if cluster, err := s.Cluster(); err != nil || !cluster.IsZero() {
		return err
	}
	return s.Join(p.held.Cluster)
}

// first returns the proposal whose configuration this server is to write, if
// any: that of the cluster it belongs to.
func (s *Store) first() (p Proposal, ok bool, err error) {
	st, err := s.loadPromises()
	if err != nil {
		return Proposal{}, false, err
	}
	cluster, err := s.Cluster()
	return st.held, st.written && st.held.Cluster == cluster, err
}
