package consensus

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

const (
	storeFile = "consensus.db"

	// snapshotsKept: a damaged newest snapshot leaves one to fall back on.
	snapshotsKept = 2
)

// StoreConfig says where a Store lies.
type StoreConfig struct {
	// Dir is the data directory, made if missing. Empty: everything is kept in
	// memory, and this server is another one after each start.
	Dir string

	// Boot is this start of the process. Required.
	Boot idspace.BootID

	// Random makes the ServerID; crypto/rand.Reader. Required.
	Random io.Reader

	// Logger gets what raft's snapshots say. Nil: nothing.
	Logger *slog.Logger
}

// Store is what one server remembers. It holds a file and its lock until
// Close, and runs nothing.
type Store struct {
	dir     string // empty: in memory
	self    Identity
	records records
	raft    *guard
	snaps   raft.SnapshotStore
	fault   *fault
	file    *boltFile // nil: in memory

	// known is closed once the cluster id is recorded.
	known     chan struct{}
	knownOnce sync.Once
}

// OpenStore opens or makes a store and counts up its boot counter. The error
// matches ErrLocked, ErrBadRecord, ErrSnapshotMissing or ErrStoreFailed, or
// comes from the operating system.
func OpenStore(cfg StoreConfig) (*Store, error) {
	if cfg.Boot.IsZero() || cfg.Random == nil {
		return nil, errors.New("consensus: open store: Boot and Random are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: cfg.Dir, fault: newFault(), known: make(chan struct{})}
	err := s.open(cfg)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("consensus: open store: %w", err)
	}
	return s, nil
}

func (s *Store) open(cfg StoreConfig) error {
	if err := s.openRecords(); err != nil {
		return err
	}
	if err := s.countStart(cfg.Boot, cfg.Random); err != nil {
		return err
	}
	if err := s.openSnapshots(cfg.Logger); err != nil {
		return err
	}
	first, err := s.raft.FirstIndex()
	if err != nil {
		return err
	}
	snaps, err := s.snaps.List()
	if err != nil {
		return err
	}
	if first > 1 && len(snaps) == 0 {
		return fmt.Errorf("%w: the log begins with %d", ErrSnapshotMissing, first)
	}
	if err := s.finishWrite(); err != nil {
		return err
	}
	cluster, err := s.Cluster()
	if err != nil {
		return err
	}
	if !cluster.IsZero() {
		s.knownOnce.Do(func() { close(s.known) })
	}
	return nil
}

func (s *Store) openRecords() error {
	if s.dir == "" {
		s.records = newMemory()
		s.raft = &guard{raftStore: raft.NewInmemStore(), fault: s.fault}
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	file, err := openBolt(filepath.Join(s.dir, storeFile), s.fault)
	if err != nil {
		return err
	}
	s.file, s.records = file, file
	s.raft = &guard{raftStore: file, fault: s.fault}
	return syncDir(s.dir)
}

// openSnapshots needs the identity: the directory of the snapshots is named
// after the server, so that those of one set aside are never restored.
func (s *Store) openSnapshots(logger *slog.Logger) error {
	if s.dir == "" {
		s.snaps = raft.NewInmemSnapshotStore()
		return nil
	}
	dir := snapshotDir(s.dir, s.self.Server)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	snaps, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, newHclog(logger))
	if err != nil {
		return err
	}
	s.snaps = snaps
	return syncDir(s.dir)
}

func snapshotDir(dir string, id idspace.ServerID) string {
	return filepath.Join(dir, "raft-"+id.String())
}

// syncDir makes the names in a directory durable. Windows cannot sync a
// directory and does not need to.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Identity returns who this server is, for as long as the store is open.
func (s *Store) Identity() Identity { return s.self }

// Durable tells whether the store outlives the process.
func (s *Store) Durable() bool { return s.file != nil }

// Failed is closed when a write has failed; Err then says which.
func (s *Store) Failed() <-chan struct{} { return s.fault.done }

// Err returns the error that poisoned the store, which matches
// ErrStoreFailed, or nil.
func (s *Store) Err() error { return s.fault.get() }

// Close gives the file up. No Server may be running on the store. It is
// idempotent.
func (s *Store) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.close()
}

// CloseSound closes a store of which no write has failed: everything that it ever
// answered is on the disk then, and OpenStore may open it again in this process. It
// blocks while a write is under way. An error matches ErrStoreFailed, and leaves the
// store open, or is that of the closing. No Server may be running on the store.
func (s *Store) CloseSound() error {
	if s.file == nil {
		return s.Err()
	}
	return s.file.closeSound()
}

// BeforeCommit has fn called before each write of a store on disk is committed: what
// fn returns is the write's own error, and the write takes as long as fn does. It is
// for tests of what a disk may do; a store in memory has none.
func (s *Store) BeforeCommit(fn func() error) {
	if s.file != nil {
		s.file.beforeCommit.Store(&fn)
	}
}

// SetAside closes the store and renames its files, so that the next OpenStore
// on the directory makes a server that never was. For one whose identity is
// used up: ErrSuperseded, ErrRemoved, ErrSnapshotMissing. No Server may be
// running on the store.
func (s *Store) SetAside(now time.Time) error {
	if err := s.Close(); err != nil {
		return fmt.Errorf("consensus: set aside: %w", err)
	}
	if s.dir == "" {
		return nil
	}
	suffix := ".aside-" + now.UTC().Format("20060102T150405.000000000Z")
	// The file first: without it the snapshots of its server mean nothing.
	file, snaps := filepath.Join(s.dir, storeFile), snapshotDir(s.dir, s.self.Server)
	for _, path := range []string{file, snaps} {
		if err := os.Rename(path, path+suffix); err != nil {
			return fmt.Errorf("consensus: set aside: %w", err)
		}
	}
	if err := syncDir(s.dir); err != nil {
		return fmt.Errorf("consensus: set aside: %w", err)
	}
	return nil
}
