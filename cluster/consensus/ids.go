package consensus

import (
	"bytes"
	"slices"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// Identity says which life of which server this is.
type Identity struct {
	Server idspace.ServerID
	Start  uint64 // counts the openings of the store, from 1
	Boot   idspace.BootID
}

// An Identity in a handshake or a record: server, start, boot.
const lifeLen = 16 + 8 + 16

func (w *writer) identity(id Identity) {
	w.bytes(id.Server[:])
	w.uint64(id.Start)
	w.bytes(id.Boot[:])
}

func (r *reader) identity() (id Identity) {
	r.bytes(id.Server[:])
	id.Start = r.uint64()
	r.bytes(id.Boot[:])
	return id
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
