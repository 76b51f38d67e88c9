package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
)

// Dialed shows the accepting end of nc who this node is, and makes sure of that
// one; alpn is the protocol that is to follow. It blocks until the deadline of nc
// or its end. The error matches one of the conditions of a stream, or is the
// network's; the caller then closes nc.
func (t *Trust) Dialed(nc net.Conn, alpn string) (net.Conn, error) {
	s := t.current.Load()
	var peer Identity
	cfg := t.config(s, x509.ExtKeyUsageServerAuth, &peer)
	cfg.NextProtos = []string{alpn}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if s.certified == nil {
			return &tls.Certificate{}, nil // its own making is of no use to who asks
		}
		return &s.shown, nil
	}
	c, raw := tlsConn(nc, cfg, tls.Client)
	if err := c.Handshake(); err != nil {
		return nil, handshakeError(err)
	}
	state := c.ConnectionState()
	if state.NegotiatedProtocol != alpn {
		return nil, fmt.Errorf("%w: %q instead of %q", ErrNoProtocol, state.NegotiatedProtocol, alpn)
	}
	session, err := exported(&state)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTLS, err)
	}
	key, err := proveDialed(c, s.proofs, session)
	if err != nil {
		return nil, err
	}
	return t.keep(&Conn{
		Conn: c, raw: raw, trust: t, peer: peer, key: key, chain: state.PeerCertificates, usage: x509.ExtKeyUsageServerAuth,
	})
}

// Accepted makes sure of the dialing end of nc, shows it who this node is, and
// returns which of the protocols is to follow. Otherwise it is as Dialed.
func (t *Trust) Accepted(nc net.Conn, alpns []string) (net.Conn, string, error) {
	s := t.current.Load()
	var peer Identity
	cfg := t.config(s, x509.ExtKeyUsageClientAuth, &peer)
	cfg.NextProtos = alpns
	cfg.Certificates = []tls.Certificate{s.shown}
	if s.certified != nil {
		cfg.ClientAuth = tls.RequestClientCert // judge refuses who shows none
	}
	// Only so can the reason be told from others.
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.ContainsFunc(hello.SupportedProtos, func(p string) bool { return slices.Contains(alpns, p) }) {
			return nil, ErrNoProtocol
		}
		return nil, nil //nolint:nilnil // that is: go on with this one
	}
	c, raw := tlsConn(nc, cfg, tls.Server)
	if err := c.Handshake(); err != nil {
		return nil, "", handshakeError(err)
	}
	state := c.ConnectionState()
	session, err := exported(&state)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNoTLS, err)
	}
	key, err := proveAccepted(c, s.proofs, session)
	if err != nil {
		if alertBy(err) == alertRemote {
			err = fmt.Errorf("%w: %w", ErrRefusedByPeer, err)
		}
		return nil, "", err
	}
	kept, err := t.keep(&Conn{
		Conn: c, raw: raw, trust: t, peer: peer, key: key, chain: state.PeerCertificates, usage: x509.ExtKeyUsageClientAuth,
	})
	return kept, state.NegotiatedProtocol, err
}

// config is what both ends have in common. The certificate of the other end is
// judged here and not by package tls, which knows names of hosts: nodes have
// addresses that may change, and identities. Whose it is goes to peer.
func (t *Trust) config(s *snapshot, usage x509.ExtKeyUsage, peer *Identity) *tls.Config {
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		InsecureSkipVerify:          true, //nolint:gosec // see VerifyConnection, and the proof of the key
		SessionTicketsDisabled:      true, // each stream is judged anew
		DynamicRecordSizingDisabled: true, // a batch goes into as few records as it fits into
		Time:                        t.cfg.Now,
		VerifyConnection: func(state tls.ConnectionState) (err error) {
			if s.certified == nil || t.credulous {
				return nil
			}
			*peer, err = s.certified.judge(state.PeerCertificates, usage, t.cfg.ClusterName, t.cfg.Now())
			return err
		},
	}
}

// handshakeError gives a failed handshake its condition.
func handshakeError(err error) error {
	for _, known := range []error{ErrNoProtocol, ErrNoCertificate, ErrUntrusted, ErrRole} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch by := alertBy(err); by {
	case alertRemote:
		return fmt.Errorf("%w: %w", ErrRefusedByPeer, err)
	case alertLocal:
		return fmt.Errorf("%w: %w", ErrNoTLS, err)
	}
	var network net.Error
	if errors.As(err, &network) || isEnd(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoTLS, err)
}

// The operations by which package tls tells who has sent an alert: errors of its
// handshakes are a *net.OpError with them.
const (
	alertRemote = "remote error"
	alertLocal  = "local error"
)

func alertBy(err error) string {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Op
	}
	return ""
}
