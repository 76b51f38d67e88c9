package trust

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

const (
	// exporterLabel names what TLS exports for proofs (RFC 8446 §7.5). The
	// first word is that of labels nobody has registered.
	exporterLabel = "EXPERIMENTAL-flamingo-proof-1"

	proofLen = sha256.Size
)

// The ends of a stream, as their proofs name them: that of one is no proof of the
// other.
const (
	dialingEnd   = "flamingo dialing end"
	acceptingEnd = "flamingo accepting end"
)

func exported(state *tls.ConnectionState) ([]byte, error) {
	return state.ExportKeyingMaterial(exporterLabel, nil, proofLen)
}

// prove returns the proof that an end knows a key.
func prove(key []byte, end string, session []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(end))
	mac.Write(session)
	return mac.Sum(nil)
}

// matching returns which of keys the proof of an end shows; nil if none.
func matching(keys [][]byte, proof []byte, end string, session []byte) []byte {
	for _, key := range keys {
		if hmac.Equal(proof, prove(key, end, session)) {
			return key
		}
	}
	return nil
}

// proveDialed shows the first key and asks for a proof of any. It returns the one
// that was shown last.
func proveDialed(c net.Conn, keys [][]byte, session []byte) ([]byte, error) {
	if _, err := c.Write(prove(keys[0], dialingEnd, session)); err != nil {
		return nil, err
	}
	var got [proofLen]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrRefusedByPeer, err)
	}
	key := matching(keys, got[:], acceptingEnd, session)
	if key == nil {
		return nil, ErrProof
	}
	return key, nil
}

// proveAccepted asks for a proof of any key, and shows the same one: a stranger
// gets no proof to work on, and a node has the key it has shown, in whatever step of a
// rotation the two are.
func proveAccepted(c net.Conn, keys [][]byte, session []byte) ([]byte, error) {
	var got [proofLen]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		return nil, err
	}
	key := matching(keys, got[:], dialingEnd, session)
	if key == nil {
		return nil, ErrProof
	}
	_, err := c.Write(prove(key, acceptingEnd, session))
	return key, err
}
