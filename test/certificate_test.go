//go:build e2e

package test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"testing"

	"flamingo/transport/transporttest"
)

// A certificate is one of a server on 127.0.0.1, of an authority that nobody knows.
type certificate struct {
	authority, cert, key string // paths
	pin                  string // digest of the public key: how a browser is told to trust it
	tls.Certificate
}

// newCertificate makes a certificate, and files that the end of the test removes.
func newCertificate(t testing.TB) certificate {
	t.Helper()
	a := transporttest.NewAuthority(t)
	files := a.Server("site.test")
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	return certificate{
		authority: a.File(), cert: files.Certificate, key: files.Key,
		pin: base64.StdEncoding.EncodeToString(digest[:]), Certificate: pair,
	}
}
