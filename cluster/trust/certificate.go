package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ephemeral returns a certificate of the node's own making, which says nothing:
// TLS wants one, and the proof of the key is bound to the session it begins.
func ephemeral() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "flamingo"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 §4.1.2.5: none
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// certified is what a node shows to and asks of others with a CA.
type certified struct {
	pair  tls.Certificate
	roots *x509.CertPool
	own   Identity
	until time.Time
	valid time.Duration // all in all
}

// loadCertified reads the three files, and refuses what the other nodes would. The
// error matches ErrBadCertificate, and names the files.
func loadCertified(cert, key, ca, clusterName string, now time.Time) (*certified, error) {
	bad := func(err error) error {
		return fmt.Errorf("%w: cert %s with key %s and ca %s: %w", ErrBadCertificate, cert, key, ca, err)
	}
	pair, err := loadPair(cert, key)
	if err != nil {
		return nil, bad(err)
	}
	pem, err := readAtMost(ca)
	if err != nil {
		return nil, bad(err)
	}
	c := &certified{pair: pair, roots: x509.NewCertPool(), until: pair.Leaf.NotAfter, valid: pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore)}
	if !c.roots.AppendCertsFromPEM(pem) {
		return nil, bad(errors.New("the ca has no certificate in PEM form"))
	}
	chain := []*x509.Certificate{pair.Leaf}
	for _, der := range pair.Certificate[1:] {
		link, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, bad(err)
		}
		chain = append(chain, link)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if c.own, err = c.judge(chain, usage, clusterName, now); err != nil {
			return nil, bad(err)
		}
	}
	return c, nil
}

func loadPair(cert, key string) (tls.Certificate, error) {
	certPEM, err := readAtMost(cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := readAtMost(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// judge returns which node shows the chain, the leaf first. The error matches
// ErrNoCertificate, ErrUntrusted or ErrRole.
func (c *certified) judge(chain []*x509.Certificate, usage x509.ExtKeyUsage, clusterName string, now time.Time) (Identity, error) {
	if len(chain) == 0 {
		return Identity{}, ErrNoCertificate
	}
	opts := x509.VerifyOptions{
		Roots: c.roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	}
	for _, link := range chain[1:] {
		opts.Intermediates.AddCert(link)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return nodeOf(chain[0], clusterName)
}
