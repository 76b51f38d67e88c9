package consensus

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// A command of raft's log begins with its format version and its kind:
//
//	no-op     version kind
//	founding  version kind cluster:16
//	registry  version kind command     as idspace.EncodeCommand has it
//
// and a snapshot is: version cluster:16 snapshot as idspace has it.
const (
	fsmVersion = 1

	kindNoop     = 1
	kindFounding = 2
	kindRegistry = 3

	// maxSnapshot bounds what is read of a snapshot: the registry says that
	// all its live grants take some 50 MB.
	maxSnapshot = 256 << 20
)

// fsm is raft's state machine: the registry and the id of the cluster.
type fsm struct {
	cluster idspace.ClusterID // immutable: what this server was told

	// stop ends raft: to go on after an entry that is not understood would
	// make servers differ. Nothing is applied after it is set.
	stop *fault

	changed func() // called after each change, without mu

	mu        sync.RWMutex
	committed idspace.ClusterID // by the founding entry; zero before it
	registry  *idspace.Registry
}

// applied is what a command of the registry did.
type applied struct {
	res idspace.Result
	err error
}

func newFSM(cluster idspace.ClusterID, stop *fault, changed func()) *fsm {
	return &fsm{cluster: cluster, stop: stop, changed: changed, registry: idspace.NewRegistry()}
}

func noopCommand() []byte { return []byte{fsmVersion, kindNoop} }

func foundingCommand(c idspace.ClusterID) []byte {
	return append([]byte{fsmVersion, kindFounding}, c[:]...)
}

func registryCommand(c idspace.Command) ([]byte, error) {
	b, err := idspace.EncodeCommand(c)
	if err != nil {
		return nil, err
	}
	return append([]byte{fsmVersion, kindRegistry}, b...), nil
}

// Apply implements [raft.FSM]. It returns an applied.
func (f *fsm) Apply(l *raft.Log) any {
	if err := f.stop.get(); err != nil {
		return applied{err: err}
	}
	res, err := f.apply(l)
	if errors.Is(err, ErrDiverged) || errors.Is(err, ErrWrongCluster) {
		f.stop.set(err)
	}
	f.changed()
	return applied{res: res, err: err}
}

func (f *fsm) apply(l *raft.Log) (idspace.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(l.Data) < 2 || l.Data[0] != fsmVersion {
		return idspace.Result{}, fmt.Errorf("%w: entry %d", ErrDiverged, l.Index)
	}
	var res idspace.Result
	var err error
	switch kind, body := l.Data[1], l.Data[2:]; {
	case kind == kindNoop && len(body) == 0:
	case kind == kindFounding && len(body) == len(f.committed):
		err = f.found(idspace.ClusterID(body))
	case kind == kindRegistry:
		res, err = f.applyRegistry(body)
	default:
		err = fmt.Errorf("%w: entry %d of kind %d", ErrDiverged, l.Index, kind)
	}
	return res, err
}

// applyRegistry: bytes that are no command are as fatal as an unknown version,
// while a command that the registry refuses is refused alike everywhere.
func (f *fsm) applyRegistry(body []byte) (idspace.Result, error) {
	cmd, err := idspace.DecodeCommand(body)
	if err != nil {
		return idspace.Result{}, fmt.Errorf("%w: %w", ErrDiverged, err)
	}
	return f.registry.Apply(cmd)
}

func (f *fsm) found(c idspace.ClusterID) error {
	if c != f.cluster {
		return fmt.Errorf("%w: the log is of %v, this server of %v", ErrWrongCluster, c, f.cluster)
	}
	f.committed = c
	return nil
}

// Snapshot implements [raft.FSM].
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.stop.get(); err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	w := writer{fsmVersion}
	w.bytes(f.committed[:])
	w.bytes(f.registry.Snapshot())
	return snapshot(w), nil
}

// Restore implements [raft.FSM].
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxSnapshot+1))
	if err != nil {
		return err
	}
	if err := f.restore(b); err != nil {
		f.stop.set(err)
		return err
	}
	f.changed()
	return nil
}

func (f *fsm) restore(b []byte) error {
	if len(b) < 1+16 || len(b) > maxSnapshot || b[0] != fsmVersion {
		return fmt.Errorf("%w: snapshot of %d bytes", ErrDiverged, len(b))
	}
	committed := idspace.ClusterID(b[1:17])
	if !committed.IsZero() && committed != f.cluster {
		return fmt.Errorf("%w: the snapshot is of %v, this server of %v", ErrWrongCluster, committed, f.cluster)
	}
	fresh := idspace.NewRegistry()
	if err := fresh.Restore(b[17:]); err != nil {
		return fmt.Errorf("%w: %w", ErrDiverged, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.committed, f.registry = committed, fresh
	return nil
}

// founded tells whether the founding entry was applied.
func (f *fsm) founded() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return !f.committed.IsZero()
}

func (f *fsm) last() idspace.NodeNumber {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.registry.Last()
}

func (f *fsm) lives() (idspace.NodeNumber, []idspace.Life) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.registry.Last(), f.registry.Lives()
}

func (f *fsm) retired() []idspace.NodeNumber {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.registry.Retired()
}

// granted tells whether a request like g was granted before.
func (f *fsm) granted(g idspace.Grant) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return uint64(g.Ordinal) <= uint64(len(f.registry.Numbers(g.Boot)))
}

// snapshot is one that raft writes beside further commands.
type snapshot []byte

// Persist implements [raft.FSMSnapshot].
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements [raft.FSMSnapshot].
func (snapshot) Release() {}
