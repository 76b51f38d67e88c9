package trust

import (
	"crypto/x509"
	"testing"
	"time"
)

// Hooks for the tests of package trust_test.
var (
	Prove    = prove
	Matching = matching
)

const (
	DialingEnd   = dialingEnd
	AcceptingEnd = acceptingEnd
)

// Credulous returns t believing every certificate, as a stranger may.
func Credulous(t *Trust) *Trust {
	believing := &Trust{cfg: t.cfg, credulous: true, streams: streams{open: make(map[*Conn]struct{})}}
	believing.current.Store(t.current.Load())
	return believing
}

// Unchecked is New for a certificate that New would refuse.
func Unchecked(tb testing.TB, cfg Config) *Trust {
	tb.Helper()
	keys, err := LoadKeys(cfg.KeyFile)
	if err != nil {
		tb.Fatal(err)
	}
	pair, err := loadPair(cfg.Cert, cfg.Key)
	if err != nil {
		tb.Fatal(err)
	}
	pem, err := readAtMost(cfg.CA)
	if err != nil {
		tb.Fatal(err)
	}
	s := &snapshot{keys: keys, shown: pair}
	for _, k := range keys {
		s.proofs = append(s.proofs, k.derive("proof", cfg.ClusterName))
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	s.certified = &certified{pair: pair, roots: roots, own: Identity{Cluster: cfg.ClusterName}}
	t := &Trust{cfg: cfg, streams: streams{open: make(map[*Conn]struct{})}}
	t.cfg.Now = time.Now
	t.current.Store(s)
	return t
}
