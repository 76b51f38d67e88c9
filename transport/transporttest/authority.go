package transporttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flamingo/transport"
)

// An Authority certifies servers and clients of a test.
type Authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

// NewAuthority returns an authority whose files are gone after the test.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, key: newKey(tb), dir: tb.TempDir()}
	template := template("authority")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	a.cert = a.sign(template, template, &a.key.PublicKey)
	return a
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// template is valid around the clock of this process and that of a synctest
// bubble, which begins in 2000.
func template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic(err) // the system has no randomness
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Flamingo test"}},
		NotBefore:    time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func (a *Authority) sign(template, parent *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	a.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatal(err)
	}
	return cert
}

// Issue returns a certificate of that name, for servers and clients.
func (a *Authority) Issue(name string) tls.Certificate {
	a.tb.Helper()
	t, key := template(name), newKey(a.tb)
	t.DNSNames = []string{name}
	t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	cert := a.sign(t, a.cert, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// File returns the path of a file with the authority's own certificate.
func (a *Authority) File() string {
	a.tb.Helper()
	path := filepath.Join(a.dir, "authority.pem")
	a.write(path, "CERTIFICATE", a.cert.Raw)
	return path
}

// Server returns settings with a fresh certificate of that name. Called again
// with the name it replaces the files.
func (a *Authority) Server(name string) *transport.TLS {
	a.tb.Helper()
	c := a.Issue(name)
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.tb.Fatal(err)
	}
	settings := &transport.TLS{Certificate: filepath.Join(a.dir, name+".pem"), Key: filepath.Join(a.dir, name+".key")}
	a.write(settings.Certificate, "CERTIFICATE", c.Certificate[0])
	a.write(settings.Key, "PRIVATE KEY", key)
	return settings
}

// write replaces a file at once.
func (a *Authority) write(path, kind string, der []byte) {
	a.tb.Helper()
	fresh := path + ".new"
	if err := os.WriteFile(fresh, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.tb.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		a.tb.Fatal(err)
	}
}

// Client returns the configuration of a client that trusts the authority and
// asks for the server of that name.
func (a *Authority) Client(name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
}

// TLSVariant is the variant whose clients speak TLS. configure is applied last.
func TLSVariant(tb testing.TB, configure func(*transport.Config)) Variant {
	tb.Helper()
	a := NewAuthority(tb)
	settings, cfg := a.Server("server.test"), a.Client("server.test")
	return Variant{
		Configure: func(c *transport.Config) {
			for i := range c.Listeners {
				c.Listeners[i].TLS = settings
			}
			configure(c)
		},
		Client: func(nc net.Conn) (net.Conn, error) {
			c := tls.Client(nc, cfg)
			return c, c.Handshake()
		},
		Without: BareGroups,
	}
}
