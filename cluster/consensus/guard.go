package consensus

import (
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// raftStore is what raft writes to.
type raftStore interface {
	raft.LogStore
	raft.StableStore
}

// guard stands between raft and its store. Some errors of a store raft answers
// with a panic, which would take every client connection of the process along.
// For these the guard ends the calling goroutine of raft instead, as the panic
// would; whoever watches the store's fault then shuts raft down.
type guard struct {
	raftStore
	fault *fault

	// armed is set once raft runs: before, the caller is our own goroutine.
	armed atomic.Bool
}

// SetUint64 implements [raft.StableStore]; raft saves its term with it.
func (g *guard) SetUint64(key []byte, val uint64) error {
	return g.fatal(g.raftStore.SetUint64(key, val))
}

// GetLog implements [raft.LogStore].
func (g *guard) GetLog(index uint64, l *raft.Log) error {
	err := g.raftStore.GetLog(index, l)
	if errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	return g.fatal(err)
}

// fatal does not return from an error that raft would panic over.
func (g *guard) fatal(err error) error {
	if err == nil || !g.armed.Load() {
		return err
	}
	_ = g.fault.poison("raft", err)
	runtime.Goexit()
	return err
}
