package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// formatFile says in a data directory of which format everything in it is: a decimal
// number and a line feed. It is looked at before anything else in there (ADR 28).
const formatFile = "format"

// CheckFormat is for programs that work on the data directory of a node that is
// stopped: they may if it returns nil, which it does for a directory that does not
// exist, too. The error matches ErrFormat if the directory is of another format than
// this release reads. It writes nothing.
func CheckFormat(dir string) error { return readFormat(dir) }

// readFormat returns an error that matches ErrFormat if the data directory, which need
// not exist, is of another format than this release reads. It writes nothing.
func readFormat(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, formatFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("data directory: %w", err)
	}
	return checkFormat(dir, string(text))
}

// noteFormat notes the format in a data directory that was read as such. The caller
// alone writes in it.
func noteFormat(dir string) error {
	path := filepath.Join(dir, formatFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeDurably(path, strconv.Itoa(DataFormat)+"\n"); err != nil {
		return fmt.Errorf("data directory %s: %w", dir, err)
	}
	return nil
}

func checkFormat(dir, text string) error {
	const shown = 20 // bytes of what stands there
	line, _ := strings.CutSuffix(text, "\n")
	format, err := strconv.Atoi(line)
	switch {
	case err != nil || format < 1:
		return fmt.Errorf("%w: data directory %s: its file %s says %.*q: allowed is %d; restore the file, or the directory from a backup",
			ErrFormat, dir, formatFile, shown, text, DataFormat)
	case format > DataFormat:
		return fmt.Errorf("%w: data directory %s has format %d, and this release, %s, reads format %d: run the release that has written it, or a later one",
			ErrFormat, dir, format, Version(), DataFormat)
	case format < DataFormat:
		return fmt.Errorf("%w: data directory %s has format %d, and this release, %s, reads format %d: run the releases between them first, each once",
			ErrFormat, dir, format, Version(), DataFormat)
	}
	return nil
}
