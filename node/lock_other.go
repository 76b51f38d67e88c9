//go:build !unix

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// lockFile makes the file at path ours until it is closed: it cannot be
// removed while another process has it open.
func lockFile(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// syncDir does nothing: such systems make a rename last by themselves.
func syncDir(string) error { return nil }
