package consensus

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// An entry of the log, under its index as 8 bytes; integers are big-endian:
//
//	version type term:8 appended:8 extensions:4 { byte } data …
//
// appended is in nanoseconds of Unix time, zero if unknown.
const (
	entryVersion   = 1
	entryHeaderLen = 1 + 1 + 8 + 8 + 4
)

func logKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

func encodeEntry(l *raft.Log) []byte {
	b := make([]byte, 0, entryHeaderLen+len(l.Extensions)+len(l.Data))
	b = append(b, entryVersion, byte(l.Type))
	b = binary.BigEndian.AppendUint64(b, l.Term)
	var at int64
	if !l.AppendedAt.IsZero() {
		at = l.AppendedAt.UnixNano()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Extensions)))
	b = append(b, l.Extensions...)
	return append(b, l.Data...)
}

// decodeEntry keeps nothing of b. It leaves *l alone on an error.
func decodeEntry(index uint64, b []byte, l *raft.Log) error {
	if len(b) < entryHeaderLen || b[0] != entryVersion {
		return misread(fmt.Sprintf("log entry %d", index), b)
	}
	body := b[entryHeaderLen:]
	ext := binary.BigEndian.Uint32(b[18:])
	if uint64(ext) > uint64(len(body)) {
		return fmt.Errorf("%w: log entry %d", ErrBadRecord, index)
	}
	*l = raft.Log{
		Index: index,
		Type:  raft.LogType(b[1]),
		Term:  binary.BigEndian.Uint64(b[2:]),
	}
	if at := int64(binary.BigEndian.Uint64(b[10:])); at != 0 {
		l.AppendedAt = time.Unix(0, at)
	}
	if ext > 0 {
		l.Extensions = append([]byte(nil), body[:ext]...)
	}
	if data := body[ext:]; len(data) > 0 {
		l.Data = append([]byte(nil), data...)
	}
	return nil
}

// FirstIndex implements [raft.LogStore].
func (b *boltFile) FirstIndex() (uint64, error) { return b.edge((*bbolt.Cursor).First) }

// LastIndex implements [raft.LogStore].
func (b *boltFile) LastIndex() (uint64, error) { return b.edge((*bbolt.Cursor).Last) }

func (b *boltFile) edge(move func(*bbolt.Cursor) (k, v []byte)) (index uint64, err error) {
	err = b.read(func(tx *bbolt.Tx) error {
		if k, _ := move(tx.Bucket(bucketLog).Cursor()); len(k) == 8 {
			index = binary.BigEndian.Uint64(k)
		}
		return nil
	})
	return index, err
}

// GetLog implements [raft.LogStore].
func (b *boltFile) GetLog(index uint64, l *raft.Log) error {
	return b.read(func(tx *bbolt.Tx) error {
		val := tx.Bucket(bucketLog).Get(logKey(index))
		if val == nil {
			return raft.ErrLogNotFound
		}
		return decodeEntry(index, val, l)
	})
}

// StoreLog implements [raft.LogStore].
func (b *boltFile) StoreLog(l *raft.Log) error { return b.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements [raft.LogStore].
func (b *boltFile) StoreLogs(logs []*raft.Log) error {
	return b.write(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketLog)
		for _, l := range logs {
			if err := bucket.Put(logKey(l.Index), encodeEntry(l)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteRange implements [raft.LogStore].
func (b *boltFile) DeleteRange(first, last uint64) error {
	return b.write(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketLog).Cursor()
		for k, _ := c.Seek(logKey(first)); k != nil && binary.BigEndian.Uint64(k) <= last; k, _ = c.Seek(logKey(first)) {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}
