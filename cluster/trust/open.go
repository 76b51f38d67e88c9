package trust

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"
)

// streams are those that are open: whoever may not open one any more may not keep
// one either. They are bounded by who has them: gossip, raft and the mesh.
type streams struct {
	mu   sync.Mutex
	open map[*Conn]struct{} // guarded by mu
}

// keep remembers c until its Close. A change of the files during its handshake may
// speak against it: then it is closed.
func (t *Trust) keep(c *Conn) (net.Conn, error) {
	t.streams.mu.Lock()
	t.streams.open[c] = struct{}{}
	t.streams.mu.Unlock()
	if err := t.judgeAgain(t.current.Load(), c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (t *Trust) forget(c *Conn) {
	t.streams.mu.Lock()
	defer t.streams.mu.Unlock()
	delete(t.streams.open, c)
}

// judgeAgain returns an error if s speaks against a stream that is open.
func (t *Trust) judgeAgain(s *snapshot, c *Conn) error {
	if !slices.ContainsFunc(s.proofs, func(key []byte) bool { return bytes.Equal(key, c.key) }) {
		return fmt.Errorf("%w: it was removed", ErrProof)
	}
	if s.certified == nil || t.credulous {
		return nil
	}
	_, err := s.certified.judge(c.chain, c.usage, t.cfg.ClusterName, t.cfg.Now())
	return err
}

// sever closes the streams that s speaks against, and returns how many.
func (t *Trust) sever(s *snapshot) (n int) {
	t.streams.mu.Lock()
	all := make([]*Conn, 0, len(t.streams.open))
	for c := range t.streams.open {
		all = append(all, c)
	}
	t.streams.mu.Unlock()
	for _, c := range all {
		if t.judgeAgain(s, c) != nil {
			c.Close()
			n++
		}
	}
	return n
}

// Open returns how many streams are open.
func (t *Trust) Open() int {
	t.streams.mu.Lock()
	defer t.streams.mu.Unlock()
	return len(t.streams.open)
}
