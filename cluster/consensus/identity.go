package consensus

import (
	"fmt"
	"io"

	"flamingo/idspace"
)

// The record of the identity:
//
//	version server:16 start:8 cluster:16
const (
	identityVersion = 1
	identityLen     = 1 + 16 + 8 + 16
)

type identityRecord struct {
	server  idspace.ServerID
	start   uint64
	cluster idspace.ClusterID
}

func (r identityRecord) encode() []byte {
	w := writer{identityVersion}
	w.bytes(r.server[:])
	w.uint64(r.start)
	w.bytes(r.cluster[:])
	return w
}

// decodeIdentity returns the zero value for a record never written.
func decodeIdentity(b []byte) (r identityRecord, err error) {
	if b == nil {
		return r, nil
	}
	if len(b) != identityLen || b[0] != identityVersion {
		return r, misread("identity", b)
	}
	in := reader{b: b[1:]}
	in.bytes(r.server[:])
	r.start = in.uint64()
	in.bytes(r.cluster[:])
	return r, nil
}

// countStart makes the identity when there is none.
func (s *Store) countStart(boot idspace.BootID, random io.Reader) error {
	fresh, err := idspace.NewServerID(random)
	if err != nil {
		return err
	}
	return s.records.change(recordIdentity, func(old []byte) ([]byte, error) {
		rec, err := decodeIdentity(old)
		if err != nil {
			return nil, err
		}
		if rec.server.IsZero() {
			rec.server = fresh
		}
		rec.start++
		s.self = Identity{Server: rec.server, Start: rec.start, Boot: boot}
		return rec.encode(), nil
	})
}

// Cluster returns the cluster this server belongs to, zero while it is blank.
func (s *Store) Cluster() (idspace.ClusterID, error) {
	val, err := s.records.load(recordIdentity)
	if err != nil {
		return idspace.ClusterID{}, err
	}
	rec, err := decodeIdentity(val)
	return rec.cluster, err
}

// Join records the cluster that this server is to take part in, durably. It
// then makes no promise any more, and a running Server starts raft. Repeating
// it does nothing; for another cluster than the one recorded the error matches
// ErrClusterKnown.
func (s *Store) Join(cluster idspace.ClusterID) error {
	if cluster.IsZero() {
		return fmt.Errorf("consensus: join: %w: no cluster id", ErrBadProposal)
	}
	err := s.records.change(recordIdentity, func(old []byte) ([]byte, error) {
		rec, err := decodeIdentity(old)
		switch {
		case err != nil:
			return nil, err
		case rec.cluster == cluster:
			return nil, nil
		case !rec.cluster.IsZero():
			return nil, fmt.Errorf("%w: %v, not %v", ErrClusterKnown, rec.cluster, cluster)
		}
		rec.cluster = cluster
		return rec.encode(), nil
	})
	if err != nil {
		return fmt.Errorf("consensus: join: %w", err)
	}
	s.knownOnce.Do(func() { close(s.known) })
	return nil
}
