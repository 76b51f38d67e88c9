package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// backdated is how far before its making a certificate is valid: clocks of nodes
// differ.
const backdated = time.Hour

// Authority is a CA that makes certificates of nodes. Whoever has its private key
// can make nodes of any cluster that believes it.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes a CA, valid for so long from now on. Its key is ECDSA on
// P-256. name is for people.
func NewAuthority(name string, now time.Time, valid time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(valid),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs nodes and no further CA
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert: cert, key: key}, err
}

// LoadAuthority reads a CA and its private key from files in PEM form. The error
// matches ErrBadCertificate.
func LoadAuthority(cert, key string) (*Authority, error) {
	pair, err := loadPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%w: cert %s with key %s: %w", ErrBadCertificate, cert, key, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%w: %s: want a CA, and its private key in %s", ErrBadCertificate, cert, key)
	}
	return &Authority{cert: pair.Leaf, key: signer}, nil
}

// PEM returns the CA and its private key as files have them.
func (a *Authority) PEM() (cert, key []byte, err error) {
	return encodePair(tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key})
}

// Until returns when the CA ends.
func (a *Authority) Until() time.Time { return a.cert.NotAfter }

// Issue makes a certificate for one holder, valid for so long from now on, but not
// longer than the CA, and returns it and its private key as files have them.
func (a *Authority) Issue(holder Identity, now time.Time, valid time.Duration) (cert, key []byte, until time.Time, err error) {
	for _, name := range []string{holder.Cluster, holder.Role, holder.Name} {
		if err := CheckName(name); err != nil {
			return nil, nil, time.Time{}, err
		}
	}
	until = now.Add(valid)
	if a.cert.NotAfter.Before(until) {
		until = a.cert.NotAfter
	}
	if !now.Before(a.cert.NotAfter) {
		return nil, nil, time.Time{}, errors.New("the CA has expired on " + a.cert.NotAfter.Format(time.DateTime))
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: holder.Name},
		URIs:         []*url.URL{holder.URI()},
		NotBefore:    now.Add(-backdated),
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, time.Time{}, err
	}
	cert, key, err = encodePair(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private})
	return cert, key, until, err
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f           // positive: RFC 5280 §4.1.2.2
	return new(big.Int).SetBytes(b[:])
}

func encodePair(pair tls.Certificate) (cert, key []byte, err error) {
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}
