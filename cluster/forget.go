package cluster

import (
	"errors"
	"fmt"
	"io/fs"

	"flamingo/cluster/consensus"
)

// ForgetPromise is consensus.ForgetPromise for the data directory of a node that
// is stopped, with errors that say what to do.
func ForgetPromise(dir string) (consensus.Proposal, error) {
	held, err := consensus.ForgetPromise(dir)
	switch {
	case err == nil:
		return held, nil
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("no node of a cluster has kept anything there: %w", err)
	case errors.Is(err, consensus.ErrLocked):
		err = fmt.Errorf("stop its node first: %w", err)
	}
	return consensus.Proposal{}, fmt.Errorf("data directory %s: %w", dir, err)
}
