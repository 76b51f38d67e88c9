package port

import (
	"fmt"
	"io"
	"net"
)

// guard turns a fresh connection into a stream of one protocol. Both methods
// may block on nc until it is closed or its deadline passes; the caller sees to
// either, and closes nc after an error.
type guard interface {
	// dialed prepares the end that dialed and returns what to use in place
	// of nc.
	dialed(nc net.Conn, p Protocol) (net.Conn, error)

	// accepted prepares the other end and tells the protocol.
	accepted(nc net.Conn) (net.Conn, Protocol, error)
}

// tlsHandshake is the first byte of a TLS stream: RFC 8446 §5.1.
const tlsHandshake = 22

// errEncrypted: TLS, to a port in clear text. Usually the other nodes have a key.
var errEncrypted = fmt.Errorf("%w but TLS, as of a node with a key, and this one has none", ErrStranger)

// clearText is the guard that guards nothing: the preamble, then the stream.
type clearText struct{}

func (clearText) dialed(nc net.Conn, p Protocol) (net.Conn, error) {
	_, err := nc.Write(appendPreamble(make([]byte, 0, preambleLen), p))
	return nc, err
}

func (clearText) accepted(nc net.Conn) (net.Conn, Protocol, error) {
	var b [preambleLen]byte
	if _, err := io.ReadFull(nc, b[:]); err != nil {
		return nil, 0, err
	}
	if b[0] == tlsHandshake {
		return nil, 0, errEncrypted
	}
	p, err := parsePreamble(b[:])
	return nc, p, err
}
