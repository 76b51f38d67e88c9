package node

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// MaxMetaKey is the longest key of metadata, in bytes.
const MaxMetaKey = 64

// metadata is what the program has noted about connections of this node. That of
// one connection is one string: pairs of key and value, each with its length in
// front.
type metadata struct {
	perConn, total int // bounds in bytes, the lengths included; immutable

	mu   sync.RWMutex
	of   map[ID]string // guarded by mu
	used int           // guarded by mu: bytes of all
}

func newMetadata(perConn, total int) *metadata {
	return &metadata{perConn: perConn, total: total, of: make(map[ID]string)}
}

func checkMeta(key, value string) error {
	if !validName(key, MaxMetaKey) {
		return fmt.Errorf("%w: key %.100q: allowed are 1 to %d bytes of UTF-8 without control characters", ErrBadGroup, key, MaxMetaKey)
	}
	if !utf8.ValidString(value) || len(value) > MaxMetaBytes {
		return fmt.Errorf("%w: value of key %q, %d bytes: allowed are up to %d of UTF-8", ErrBadGroup, key, len(value), MaxMetaBytes)
	}
	return nil
}

// set notes value under key; an empty one takes the key away. alive is asked under
// the lock, as in memberships.join.
func (m *metadata) set(id ID, key, value string, alive func(ID) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := alive(id); err != nil {
		return err
	}
	var b strings.Builder
	eachMeta(m.of[id], func(k, v string) {
		if k != key {
			appendMeta(&b, k, v)
		}
	})
	if value != "" {
		appendMeta(&b, key, value)
	}
	after, before := b.String(), len(m.of[id])
	switch {
	case len(after) > m.perConn && len(after) > before:
		return fmt.Errorf("%w: MetaBytes %d", ErrLimit, m.perConn)
	case m.used-before+len(after) > m.total && len(after) > before:
		return fmt.Errorf("%w: TotalMetaBytes %d", ErrLimit, m.total)
	case after == "":
		delete(m.of, id)
	default:
		m.of[id] = after
	}
	m.used += len(after) - before
	return nil
}

// get returns what is noted of a connection, nil for nothing.
func (m *metadata) get(id ID) map[string]string {
	m.mu.RLock()
	all := m.of[id]
	m.mu.RUnlock()
	if all == "" {
		return nil
	}
	pairs := make(map[string]string)
	eachMeta(all, func(k, v string) { pairs[strings.Clone(k)] = strings.Clone(v) })
	return pairs
}

// drop forgets a connection that has ended.
func (m *metadata) drop(id ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= len(m.of[id])
	delete(m.of, id)
}

func (m *metadata) bytes() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.used
}

// A key has a byte of length in front, a value three.
func appendMeta(b *strings.Builder, k, v string) {
	b.WriteByte(byte(len(k)))
	b.WriteString(k)
	b.Write([]byte{byte(len(v) >> 16), byte(len(v) >> 8), byte(len(v))})
	b.WriteString(v)
}

func eachMeta(all string, f func(k, v string)) {
	for all != "" {
		k := all[1 : 1+int(all[0])]
		all = all[1+len(k):]
		n := int(all[0])<<16 | int(all[1])<<8 | int(all[2])
		f(k, all[3:3+n])
		all = all[3+n:]
	}
}
