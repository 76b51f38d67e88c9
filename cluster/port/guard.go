package port

import (
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
	p, err := parsePreamble(b[:])
	return nc, p, err
}
