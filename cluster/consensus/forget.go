package consensus

import (
	"fmt"
	"os"
	"path/filepath"
)

// ForgetPromise gives up whatever promise the server in the data directory
// holds, for an operator who knows that its proposer is gone for good: if it is
// not, two clusters can be founded. It returns the promise, zero if there was
// none, and what it does is durable on return. It makes no store and counts no
// start. The error matches ErrLocked, ErrBadRecord or ErrStoreFailed;
// ErrClusterKnown if the server belongs to a cluster, where no promise matters
// any more; or fs.ErrNotExist if the directory or the store in it is missing.
func ForgetPromise(dir string) (Proposal, error) {
	if _, err := os.Stat(filepath.Join(dir, storeFile)); err != nil { // to open it would make it
		return Proposal{}, err
	}
	s := &Store{dir: dir, fault: newFault()}
	if err := s.openRecords(); err != nil {
		return Proposal{}, err
	}
	held, err := s.forget()
	if e := s.Close(); err == nil {
		err = e
	}
	return held, err
}

func (s *Store) forget() (held Proposal, err error) {
	cluster, err := s.Cluster()
	if err == nil && cluster.IsZero() {
		cluster, err = s.changePromises(func(st *promises) error {
			held = st.held
			*st = promises{}
			return nil
		})
	}
	if err == nil && !cluster.IsZero() {
		err = fmt.Errorf("%w: the server belongs to %v", ErrClusterKnown, cluster)
	}
	return held, err
}
