package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// TLS are the settings of a listener that encrypts: TLS 1.2 and 1.3, with the
// cipher suites of Go's crypto/tls. The files hold PEM. Listen reads them; when
// they change, connections from then on get what is new, and the others stay. A
// change that cannot be used is logged and counted, and changes nothing.
type TLS struct {
	// Certificate is the path of the file with the certificate of the server,
	// followed by those that lead to a root. Required.
	Certificate string

	// Key is the path of the file with its private key. Required.
	Key string

	// ClientCA is the path of a file with the certificates of those who certify
	// clients. Empty means that clients are not asked for a certificate.
	ClientCA string

	// ClientCert says whether a client may do without a certificate. With
	// ClientCA, ClientCertOff means ClientCertRequired.
	ClientCert ClientCertPolicy
}

// ClientCertPolicy says whether clients show a certificate.
type ClientCertPolicy uint8

// The policies for certificates of clients.
const (
	ClientCertOff      ClientCertPolicy = iota // not asked for
	ClientCertOptional                         // asked for; one that is shown must be good
	ClientCertRequired                         // a client without a good one is refused
)

var clientCertPolicyNames = []string{"off", "optional", "required"}

// String returns the policy's name, as a listener's option takes it.
func (p ClientCertPolicy) String() string {
	if int(p) < len(clientCertPolicyNames) {
		return clientCertPolicyNames[p]
	}
	return fmt.Sprintf("ClientCertPolicy(%d)", uint8(p))
}

// tlsOptions are the query parameters of a listener that encrypts.
var tlsOptions = []string{"cert", "key", "client-ca", "client-cert"}

// validate reports what is wrong through bad.
func (c *TLS) validate(bad func(option string, value any, allowed string)) {
	if c.Certificate == "" {
		bad("cert", "(none)", "the path of a file with the certificate of the server")
	}
	if c.Key == "" {
		bad("key", "(none)", "the path of a file with the private key of the server")
	}
	if int(c.ClientCert) >= len(clientCertPolicyNames) {
		bad("client-cert", uint8(c.ClientCert), strings.Join(clientCertPolicyNames, ", "))
	} else if c.ClientCert != ClientCertOff && c.ClientCA == "" {
		bad("client-cert", c.ClientCert, "off, or beside client-ca optional and required")
	}
}

// withDefaults returns settings that leave nothing open.
func (c TLS) withDefaults() *TLS {
	if c.ClientCA != "" && c.ClientCert == ClientCertOff {
		c.ClientCert = ClientCertRequired
	}
	return &c
}

// readTLS reads the options of TLS into c, which is nil for a listener that does
// not encrypt.
func (o *optionReader) readTLS(c *TLS) {
	values := o.values
	if c == nil {
		for _, name := range tlsOptions {
			if values.Has(name) {
				o.fault(name, "given for tls and wss alone")
			}
		}
		return
	}
	c.Certificate, c.Key, c.ClientCA = values.Get("cert"), values.Get("key"), values.Get("client-ca")
	c.ClientCert = ClientCertPolicy(o.choice("client-cert", clientCertPolicyNames))
	if values.Has("client-cert") && c.ClientCert == ClientCertOff && c.ClientCA != "" {
		o.fault("client-cert", "optional or required beside client-ca")
	}
}

// TLSInfo is what the handshake of a connection has settled.
type TLSInfo struct {
	Version     string // such as "TLS 1.3"
	CipherSuite string // its name in the registry of IANA
	ServerName  string // the host that the client asked for, or empty

	// Client is what the client's certificate says, which was verified; nil if
	// the client has shown none.
	Client *ClientIdentity
}

// ClientIdentity is what a verified certificate says of a client.
type ClientIdentity struct {
	Subject     string   // distinguished name
	Names       []string // alternative names: hosts, addresses, URIs, mail addresses
	Fingerprint string   // SHA-256 of the certificate, 64 hexadecimal digits
}

// infoOf returns what the handshake of conn has settled.
func infoOf(conn *tls.Conn) *TLSInfo {
	state := conn.ConnectionState()
	info := &TLSInfo{
		Version:     tls.VersionName(state.Version),
		CipherSuite: tls.CipherSuiteName(state.CipherSuite),
		ServerName:  state.ServerName,
	}
	if len(state.PeerCertificates) > 0 {
		info.Client = identityOf(state.PeerCertificates[0])
	}
	return info
}

func identityOf(c *x509.Certificate) *ClientIdentity {
	sum := sha256.Sum256(c.Raw)
	id := &ClientIdentity{Subject: c.Subject.String(), Fingerprint: hex.EncodeToString(sum[:])}
	id.Names = append(id.Names, c.DNSNames...)
	for _, addr := range c.IPAddresses {
		id.Names = append(id.Names, addr.String())
	}
	for _, u := range c.URIs {
		id.Names = append(id.Names, u.String())
	}
	id.Names = append(id.Names, c.EmailAddresses...)
	return id
}

// String returns the settings as a log shows them.
func (i *TLSInfo) String() string {
	s := i.Version + " " + i.CipherSuite
	if i.ServerName != "" {
		s += " for " + strconv.Quote(i.ServerName)
	}
	if i.Client != nil {
		s += " from " + strconv.Quote(i.Client.Subject)
	}
	return s
}

// tlsLocked returns what the handshake of an open connection has settled, or nil
// in clear text. The caller holds the slot's mu.
func (t *Transport) tlsLocked(i uint32) *TLSInfo {
	se := t.sessionOf(i)
	if se == nil {
		return nil
	}
	return infoOf(se.conn)
}
