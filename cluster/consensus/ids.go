package consensus

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// ClusterID names a cluster from its founding for ever. Zero means none.
type ClusterID [16]byte

// NewClusterID returns a random id made of 16 bytes of random.
func NewClusterID(random io.Reader) (ClusterID, error) {
	u, err := idspace.NewServerID(random)
	if err != nil {
		return ClusterID{}, fmt.Errorf("consensus: new cluster id: %w", err)
	}
	return ClusterID(u), nil
}

// ParseClusterID reads the text form, a UUID in lower case.
func ParseClusterID(s string) (ClusterID, error) {
	u, err := idspace.ParseServerID(s)
	return ClusterID(u), err
}

// IsZero reports whether c is the zero value.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// String returns the text form.
func (c ClusterID) String() string { return idspace.ServerID(c).String() }

// LogValue implements [slog.LogValuer] with the text form.
func (c ClusterID) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Identity says which life of which server this is.
type Identity struct {
	Server idspace.ServerID
	Start  uint64 // counts the openings of the store, from 1
	Boot   idspace.BootID
}

// sortServers sorts in the one order that proposals know.
func sortServers(ids []idspace.ServerID) { slices.SortFunc(ids, compareServers) }

func compareServers(a, b idspace.ServerID) int { return bytes.Compare(a[:], b[:]) }

// raftID and raftAddress: a server's address in raft's configuration is its
// id.
func raftID(s idspace.ServerID) raft.ServerID { return raft.ServerID(s.String()) }

func raftAddress(s idspace.ServerID) raft.ServerAddress { return raft.ServerAddress(s.String()) }

// fromRaft returns the zero value for what is no ServerID, as for "".
func fromRaft(id raft.ServerID) idspace.ServerID {
	s, err := idspace.ParseServerID(string(id))
	if err != nil {
		return idspace.ServerID{}
	}
	return s
}
