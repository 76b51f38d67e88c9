// Package trusttest makes the files of keys and certificates that tests of what is
// built on package trust need, right ones and wrong ones.
package trusttest

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamingo/cluster/trust"
)

// NewKey returns a key.
func NewKey(t testing.TB) trust.Key {
	t.Helper()
	k, err := trust.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// WriteKeys writes a key file, in place of what is there.
func WriteKeys(t testing.TB, path string, keys ...trust.Key) {
	t.Helper()
	var text strings.Builder
	for _, k := range keys {
		text.WriteString(k.Text() + "\n")
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// KeyFile writes a key file of its own and returns its path.
func KeyFile(t testing.TB, keys ...trust.Key) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.key")
	WriteKeys(t, path, keys...)
	return path
}

// An Authority is a CA in files.
type Authority struct {
	*trust.Authority
	File string
}

// NewAuthority makes a CA.
func NewAuthority(t testing.TB) Authority {
	t.Helper()
	a, err := trust.NewAuthority("test CA", time.Now().Add(-24*time.Hour), 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	return Authority{a, write(t, "ca.pem", cert)}
}

// Issue makes a certificate for so long from the time given on, and returns the
// paths of its files.
func (a Authority) Issue(t testing.TB, holder trust.Identity, now time.Time, valid time.Duration) (cert, key string) {
	t.Helper()
	certPEM, keyPEM, _, err := a.Authority.Issue(holder, now, valid)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", certPEM), write(t, "key.pem", keyPEM)
}

func write(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
