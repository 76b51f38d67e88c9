package trust

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

const (
	// KeyLen is the length of a key in bytes: as much as AES-256 and
	// HMAC-SHA-256 can make use of.
	KeyLen = 32

	// MaxKeys bounds the keys of a file. A rotation needs two.
	MaxKeys = 8
)

// Key is a secret that all nodes of a cluster share. It prints as nothing that
// helps to guess it.
type Key [KeyLen]byte

// NewKey reads a key from a source of random bytes.
func NewKey(random io.Reader) (Key, error) {
	var k Key
	_, err := io.ReadFull(random, k[:])
	return k, err
}

// Text returns the key as a line of a key file has it, in base64 and without its
// end.
func (k Key) Text() string { return base64.StdEncoding.EncodeToString(k[:]) }

// String hides the key.
func (k Key) String() string { return "(key)" }

// GoString hides the key.
func (k Key) GoString() string { return "trust.Key(hidden)" }

// LogValue hides the key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ParseKeys reads the text of a key file: a key a line, where empty lines and
// those that begin with # do not count. The error matches ErrBadKeyFile, and tells
// a line by its number, never by what it holds.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	var faults []error
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		var k Key
		raw, err := base64.StdEncoding.Strict().DecodeString(string(line))
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%w: line %d: want %d bytes in base64, as flamingo keygen writes them", ErrBadKeyFile, number, KeyLen))
			continue
		case copy(k[:], raw) < KeyLen || len(raw) > KeyLen:
			faults = append(faults, fmt.Errorf("%w: line %d: %d bytes: want %d", ErrBadKeyFile, number, len(raw), KeyLen))
			continue
		case k == Key{}:
			faults = append(faults, fmt.Errorf("%w: line %d: all bytes are zero: want what flamingo keygen writes", ErrBadKeyFile, number))
			continue
		}
		if slices.Contains(keys, k) {
			faults = append(faults, fmt.Errorf("%w: line %d: the same key as on a line before", ErrBadKeyFile, number))
		}
		keys = append(keys, k)
	}
	if n := len(keys); len(faults) == 0 && (n == 0 || n > MaxKeys) {
		faults = append(faults, fmt.Errorf("%w: %d keys: want 1 to %d, one a line", ErrBadKeyFile, n, MaxKeys))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return keys, nil
}

// derive returns 32 bytes for one purpose in the cluster of that name.
func (k Key) derive(purpose, clusterName string) []byte {
	b, err := hkdf.Key(sha256.New, k[:], nil, "flamingo "+purpose+" 1 "+clusterName, 32)
	if err != nil {
		panic("trust: hkdf: " + err.Error()) // 32 bytes of SHA-256 are never too many
	}
	return b
}
