package port

import (
	"errors"
	"net"

	"flamingo/cluster/trust"
)

// alpns are the names of the protocols under TLS.
var alpns = [lastProtocol + 1]string{
	Gossip: "flamingo-gossip/1",
	Raft:   "flamingo-raft/1",
	Mesh:   "flamingo-mesh/1",
}

// secured is the guard of TLS.
type secured struct{ trust *trust.Trust }

func (s secured) dialed(nc net.Conn, p Protocol) (net.Conn, error) {
	return s.trust.Dialed(nc, alpns[p])
}

func (s secured) accepted(nc net.Conn) (net.Conn, Protocol, error) {
	c, alpn, err := s.trust.Accepted(nc, alpns[Gossip:])
	if err != nil {
		return nil, 0, err
	}
	for _, p := range Protocols() {
		if alpns[p] == alpn {
			return c, p, nil
		}
	}
	c.Close() // never: trust has seen to that
	return nil, 0, trust.ErrNoProtocol
}

// distrust returns the reason in an error of package trust, if it is one.
func distrust(err error) (Reason, bool) {
	for _, known := range []struct {
		condition error
		why       Reason
	}{
		{trust.ErrNoTLS, NoTLS},
		{trust.ErrNoProtocol, NoProtocol},
		{trust.ErrNoCertificate, NoCertificate},
		{trust.ErrUntrusted, Untrusted},
		{trust.ErrRole, BadRole},
		{trust.ErrProof, NoKey},
		{trust.ErrRefusedByPeer, Refused},
	} {
		if errors.Is(err, known.condition) {
			return known.why, true
		}
	}
	return 0, false
}
