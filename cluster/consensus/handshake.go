package consensus

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"flamingo/idspace"
)

// Refusal says why a raft stream was refused. Its values are part of the
// handshake: append only.
type Refusal uint8

// The reasons to refuse a stream.
const (
	Accepted       Refusal = 0
	RefusedFormat  Refusal = 1 // not this handshake, or of another version
	RefusedCluster Refusal = 2 // another cluster
	RefusedTarget  Refusal = 3 // not the server that was meant
	RefusedStale   Refusal = 4 // an earlier boot than one seen
	RefusedTwin    Refusal = 5 // the same boot counter as another boot
	RefusedClosed  Refusal = 6 // the store is not open, or failed
	RefusedBusy    Refusal = 7 // over the limit of handshakes
	RefusedTimeout Refusal = 8 // the handshake broke off or took too long
	refusals               = 9
)

// String returns the reason in words.
func (r Refusal) String() string {
	switch r {
	case Accepted:
		return "accepted"
	case RefusedFormat:
		return "unknown handshake"
	case RefusedCluster:
		return "another cluster"
	case RefusedTarget:
		return "not the server meant"
	case RefusedStale:
		return "an earlier boot"
	case RefusedTwin:
		return "a twin boot"
	case RefusedClosed:
		return "store not open"
	case RefusedBusy:
		return "too many handshakes"
	case RefusedTimeout:
		return "handshake broke off"
	case refusals:
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// outdated tells a server that its directory is a restored or cloned one.
func (r Refusal) outdated() bool { return r == RefusedStale || r == RefusedTwin }

// The layout stands in doc.go; its length field counts the bytes after it.
const (
	handshakeMagic   = "FLMR"
	handshakeVersion = 1

	prefixLen = len(handshakeMagic) + 1 + 2
	helloLen  = 16 + 16 + lifeLen
	answerLen = 1 + lifeLen

	// handshakeTimeout bounds a handshake, at either end (design, section 4).
	handshakeTimeout = 5 * time.Second
)

type hello struct {
	cluster idspace.ClusterID
	target  idspace.ServerID
	from    Identity
}

type answer struct {
	code Refusal
	from Identity
}

func appendPrefix(w *writer, length int) {
	w.bytes([]byte(handshakeMagic))
	w.byte(handshakeVersion)
	w.byte(byte(length >> 8))
	w.byte(byte(length))
}

func (h hello) encode() []byte {
	w := make(writer, 0, prefixLen+helloLen)
	appendPrefix(&w, helloLen)
	w.bytes(h.cluster[:])
	w.bytes(h.target[:])
	w.identity(h.from)
	return w
}

func (a answer) encode() []byte {
	w := make(writer, 0, prefixLen+answerLen)
	appendPrefix(&w, answerLen)
	w.byte(byte(a.code))
	w.identity(a.from)
	return w
}

// errFormat: the bytes are not the handshake part expected.
var errFormat = errors.New("unknown handshake")

// readPart reads a part of known length; nothing is allocated by what the
// other end claims.
func readPart(r io.Reader, length int) (reader, error) {
	var prefix [prefixLen]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return reader{}, err
	}
	var want writer
	appendPrefix(&want, length)
	if string(prefix[:]) != string(want) {
		return reader{}, errFormat
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return reader{b: body}, err
}

func readHello(r io.Reader) (h hello, err error) {
	in, err := readPart(r, helloLen)
	if err != nil {
		return hello{}, err
	}
	in.bytes(h.cluster[:])
	in.bytes(h.target[:])
	h.from = in.identity()
	if h.from.Server.IsZero() || h.from.Boot.IsZero() || h.from.Start == 0 {
		return hello{}, errFormat
	}
	return h, nil
}

func readAnswer(r io.Reader) (a answer, err error) {
	in, err := readPart(r, answerLen)
	if err != nil {
		return answer{}, err
	}
	a.code = Refusal(in.byte())
	a.from = in.identity()
	return a, nil
}

// introduce is the dialling end of a handshake. The deadline of c is its own
// to set and is off on return.
func (s *Server) introduce(c net.Conn, to idspace.ServerID) error {
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(hello{cluster: s.cluster, target: to, from: s.self}.encode()); err != nil {
		return err
	}
	ans, err := readAnswer(c)
	if err != nil {
		return err
	}
	if ans.code != Accepted {
		return s.refusedBy(to, ans.code)
	}
	verdict := RefusedTarget
	if ans.from.Server == to || s.trustTargets {
		verdict = s.admit(ans.from)
	}
	if _, err := c.Write([]byte{byte(verdict)}); err != nil {
		return err
	}
	if verdict != Accepted {
		return s.refuse(to, verdict)
	}
	return c.SetDeadline(time.Time{})
}

// receive is the dialled end of a handshake.
func (s *Server) receive(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	h, err := readHello(c)
	switch {
	case errors.Is(err, errFormat):
		return s.refuse(idspace.ServerID{}, RefusedFormat)
	case err != nil:
		return s.refuse(idspace.ServerID{}, RefusedTimeout)
	}
	code := s.consider(h)
	if _, err := c.Write(answer{code: code, from: s.self}.encode()); err != nil {
		return s.refuse(h.from.Server, RefusedTimeout)
	}
	if code != Accepted {
		return s.refuse(h.from.Server, code)
	}
	var verdict [1]byte
	if _, err := io.ReadFull(c, verdict[:]); err != nil {
		return s.refuse(h.from.Server, RefusedTimeout)
	}
	if r := Refusal(verdict[0]); r != Accepted {
		return s.refusedBy(h.from.Server, r)
	}
	return c.SetDeadline(time.Time{})
}

// consider judges a hello. The boot is remembered only of a server that knows
// this cluster and this server.
func (s *Server) consider(h hello) Refusal {
	switch {
	case h.cluster != s.cluster:
		return RefusedCluster
	case (h.target != s.self.Server || h.from.Server == s.self.Server) && !s.trustTargets:
		return RefusedTarget
	case s.store.Err() != nil:
		return RefusedClosed
	}
	return s.admit(h.from)
}

func (s *Server) admit(peer Identity) Refusal {
	if s.trustBoots {
		return Accepted
	}
	r, err := s.store.admit(peer)
	if err != nil {
		return RefusedClosed
	}
	return r
}

// refuse counts a refusal of ours, and tells of some.
func (s *Server) refuse(peer idspace.ServerID, r Refusal) error {
	count := s.refused[min(r, refusals-1)].Add(1)
	err := &RefusedError{Peer: peer, Reason: r}
	if untold, due := s.notices.due(r, count, time.Now()); due {
		s.log.Warn("raft stream refused", "peer", peer, "reason", r, "more_since_last", untold)
	}
	return err
}

// refusedBy takes a refusal of us: one of our boot ends this server.
func (s *Server) refusedBy(peer idspace.ServerID, r Refusal) error {
	s.refusedUs[min(r, refusals-1)].Add(1)
	err := &RefusedError{Peer: peer, Reason: r, Remote: true}
	if r.outdated() {
		s.stop.set(fmt.Errorf("%w: %w", ErrSuperseded, err))
	}
	return err
}
