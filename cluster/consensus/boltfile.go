package consensus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long opening waits for another process to close the
// file; bbolt's own default is for ever.
const lockTimeout = time.Second

var (
	bucketRecords = []byte("records")
	bucketLog     = []byte("log")
	bucketStable  = []byte("stable")
)

// errUnchanged rolls a transaction back that has nothing to write.
var errUnchanged = errors.New("unchanged")

// boltFile keeps records, raft's log and raft's terms in one bbolt file. Its
// first failed write poisons it: Linux may answer a repeated sync with a false
// success.
type boltFile struct {
	db    *bbolt.DB
	path  string
	fault *fault

	// writing holds a token while nobody writes. It spans the commit, so that
	// no write begins between a failed commit and the fault that records it;
	// bbolt lets one writer in at a time anyway.
	writing chan struct{}

	// beforeCommit is what BeforeCommit has set; nil otherwise.
	beforeCommit atomic.Pointer[func() error]
}

func openBolt(path string, f *fault) (*boltFile, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:        lockTimeout,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b := &boltFile{db: db, path: path, fault: f, writing: make(chan struct{}, 1)}
	b.writing <- struct{}{}
	err = b.write(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketRecords, bucketLog, bucketStable} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return b, nil
}

func (b *boltFile) close() error { return b.db.Close() }

// closeSound closes the file once no write is under way, and returns what has
// poisoned it before, or nil.
func (b *boltFile) closeSound() error {
	<-b.writing
	defer func() { b.writing <- struct{}{} }()
	if err := b.fault.get(); err != nil {
		return err
	}
	return b.close()
}

// write commits fn. Every error but errUnchanged poisons the file.
func (b *boltFile) write(fn func(*bbolt.Tx) error) error {
	<-b.writing
	defer func() { b.writing <- struct{}{} }()
	if err := b.fault.get(); err != nil {
		return err
	}
	err := b.db.Update(func(tx *bbolt.Tx) error {
		err := fn(tx)
		if hook := b.beforeCommit.Load(); err == nil && hook != nil {
			err = (*hook)()
		}
		return err
	})
	switch {
	case err == nil, errors.Is(err, errUnchanged):
		return nil
	default:
		return b.fault.poison(b.path, err)
	}
}

func (b *boltFile) read(fn func(*bbolt.Tx) error) error {
	if err := b.fault.get(); err != nil {
		return err
	}
	return b.db.View(fn)
}

func (b *boltFile) load(key string) (val []byte, err error) {
	err = b.read(func(tx *bbolt.Tx) error {
		val = bytes.Clone(tx.Bucket(bucketRecords).Get([]byte(key)))
		return nil
	})
	return val, err
}

func (b *boltFile) change(key string, fn func([]byte) ([]byte, error)) error {
	var refused error
	err := b.write(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketRecords)
		var val []byte
		val, refused = fn(bytes.Clone(bucket.Get([]byte(key))))
		if refused != nil || val == nil {
			return errUnchanged
		}
		return bucket.Put([]byte(key), val)
	})
	return errors.Join(err, refused)
}

// Set implements [raft.StableStore].
func (b *boltFile) Set(key, val []byte) error {
	return b.write(func(tx *bbolt.Tx) error { return tx.Bucket(bucketStable).Put(key, val) })
}

// Get implements [raft.StableStore].
func (b *boltFile) Get(key []byte) (val []byte, err error) {
	err = b.read(func(tx *bbolt.Tx) error {
		val = append([]byte{}, tx.Bucket(bucketStable).Get(key)...)
		return nil
	})
	return val, err
}

// SetUint64 implements [raft.StableStore].
func (b *boltFile) SetUint64(key []byte, val uint64) error {
	return b.Set(key, binary.BigEndian.AppendUint64(nil, val))
}

// GetUint64 implements [raft.StableStore].
func (b *boltFile) GetUint64(key []byte) (uint64, error) {
	val, err := b.Get(key)
	switch {
	case err != nil || len(val) == 0:
		return 0, err
	case len(val) != 8:
		return 0, fmt.Errorf("%w: %q of %d bytes", ErrBadRecord, key, len(val))
	}
	return binary.BigEndian.Uint64(val), nil
}

var (
	_ raft.LogStore    = (*boltFile)(nil)
	_ raft.StableStore = (*boltFile)(nil)
	_ records          = (*boltFile)(nil)
)
