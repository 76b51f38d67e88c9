package port

import "fmt"

// Protocol says what a stream between two nodes is for. The values are part
// of the preamble: append only.
type Protocol uint8

// The protocols.
const (
	Gossip Protocol = 1 // membership: exchanges of full state, pings
	Raft   Protocol = 2 // consensus
	Mesh   Protocol = 3 // links: messages, outcomes, requests

	lastProtocol = Mesh
)

// Protocols returns all protocols.
func Protocols() []Protocol { return []Protocol{Gossip, Raft, Mesh} }

// String returns the name of p.
func (p Protocol) String() string {
	switch p {
	case Gossip:
		return "gossip"
	case Raft:
		return "raft"
	case Mesh:
		return "mesh"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// check returns an error matching ErrUnknownProtocol unless p is one.
func (p Protocol) check() error {
	if p < Gossip || p > lastProtocol {
		return fmt.Errorf("%w: %d", ErrUnknownProtocol, uint8(p))
	}
	return nil
}

const (
	preambleMagic   = "\xf7flm"
	preambleVersion = 1
	preambleLen     = len(preambleMagic) + 2
)

func appendPreamble(b []byte, p Protocol) []byte {
	b = append(b, preambleMagic...)
	return append(b, preambleVersion, byte(p))
}

// parsePreamble returns the protocol that b, of preambleLen bytes, announces.
// The error matches ErrStranger, ErrUnknownVersion or ErrUnknownProtocol.
func parsePreamble(b []byte) (Protocol, error) {
	if len(b) != preambleLen || string(b[:len(preambleMagic)]) != preambleMagic {
		return 0, fmt.Errorf("%w: %x", ErrStranger, b[:min(len(b), preambleLen)])
	}
	if v := b[len(preambleMagic)]; v != preambleVersion {
		return 0, fmt.Errorf("%w: %d, want %d", ErrUnknownVersion, v, preambleVersion)
	}
	p := Protocol(b[preambleLen-1])
	if err := p.check(); err != nil {
		return 0, err
	}
	return p, nil
}
