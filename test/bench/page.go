package bench

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
)

// MeshHeading begins the part of the page about sends between nodes, which lasts
// to its end. What stands before is about echo.
const MeshHeading = "## From node to node\n"

// WriteEcho replaces the first part of the page in file.
func WriteEcho(file string, part []byte) error {
	_, mesh, err := read(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, join(part, mesh), 0o600)
}

// WriteMesh replaces the second part, which begins with MeshHeading.
func WriteMesh(file string, part []byte) error {
	echo, _, err := read(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, join(echo, part), 0o600)
}

// read returns both parts of the page, which are empty if there is none.
func read(file string) (echo, mesh []byte, err error) {
	page, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if bytes.HasPrefix(page, []byte(MeshHeading)) {
		return nil, page, err
	}
	at := bytes.Index(page, []byte("\n"+MeshHeading))
	if at < 0 {
		return page, nil, err
	}
	return page[:at], page[at:], err
}

func join(echo, mesh []byte) []byte {
	echo, mesh = bytes.TrimSpace(echo), bytes.TrimSpace(mesh)
	if len(echo) > 0 && len(mesh) > 0 {
		echo = append(echo, "\n\n"...)
	}
	return append(append(echo, mesh...), '\n')
}
