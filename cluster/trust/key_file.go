package trust

import (
	"fmt"
	"io"
	"os"
	"runtime"
)

// maxFile bounds a file of keys or certificates, in bytes: MaxKeys lines with
// comments, or a chain of certificates.
const maxFile = 256 << 10

// errTooLong: a file is longer than maxFile.
var errTooLong = fmt.Errorf("longer than %d bytes", maxFile)

// LoadKeys reads a key file, which nobody may read but its owner, and its group if
// that is what it is for. The error matches ErrBadKeyFile, and names the file.
func LoadKeys(path string) ([]Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadKeyFile, err)
	}
	defer f.Close()
	info, err := f.Stat() // of the very file that is read
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadKeyFile, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s: want a file", ErrBadKeyFile, path)
	}
	if mode := info.Mode().Perm(); mode&0o037 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: %s: mode %#o lets others at it: want 0600, or 0640 for a group of its own: chmod 600 %s",
			ErrBadKeyFile, path, mode, path)
	}
	text, err := readLimited(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBadKeyFile, path, err)
	}
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

func readAtMost(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLimited(f)
}

func readLimited(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(text) > maxFile {
		return nil, errTooLong
	}
	return text, err
}
