package consensus

import "sync"

// records holds a handful of small values that outlive a restart as far as
// the store does.
type records interface {
	// load returns nil for a record that was never written. The bytes are the
	// caller's.
	load(key string) ([]byte, error)

	// change replaces a record by what fn makes of it, in one step and
	// durably on return. If fn fails nothing is changed and its error is
	// returned; if it returns nil bytes nothing is written.
	change(key string, fn func(old []byte) ([]byte, error)) error
}

// The records there are.
const (
	recordIdentity = "identity"
	recordPromise  = "promise"
	recordSeen     = "seen"
)

// memory keeps records as long as the process lives.
type memory struct {
	mu   sync.Mutex
	vals map[string][]byte
}

func newMemory() *memory { return &memory{vals: make(map[string][]byte)} }

func (m *memory) load(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.vals[key], nil
}

// change calls fn under the lock: fn is pure.
func (m *memory) change(key string, fn func([]byte) ([]byte, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	val, err := fn(m.vals[key])
	if err == nil && val != nil {
		m.vals[key] = val
	}
	return err
}
