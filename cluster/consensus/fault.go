package consensus

import (
	"fmt"
	"sync"
)

// fault is the memory of the first error after which something must not go
// on. It is set once.
type fault struct {
	once sync.Once
	done chan struct{} // closed by set
	err  error         // written before done is closed
}

func newFault() *fault { return &fault{done: make(chan struct{})} }

func (f *fault) set(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.done)
	})
}

// get returns the error that was set, or nil.
func (f *fault) get() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// poison sets and returns an ErrStoreFailed.
func (f *fault) poison(file string, err error) error {
	f.set(fmt.Errorf("consensus: %w: %s: %w", ErrStoreFailed, file, err))
	return f.get()
}
