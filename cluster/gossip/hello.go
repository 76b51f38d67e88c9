package gossip

import (
	"fmt"
	"io"

	"flamingo/idspace"
)

// verdict is what an end of a stream says of the other one's hello. The
// values are part of the hello: append only.
type verdict uint8

const (
	undecided    verdict = iota // by the dialing end, which speaks first
	welcome                     // go on
	otherCluster                // another cluster id
	otherName                   // another cluster name
)

// hello is what each end of a stream says before memberlist's bytes. Like a
// Meta, one of a later version keeps these fields and appends others, which
// are passed over.
type hello struct {
	verdict verdict
	boot    idspace.BootID
	cluster idspace.ClusterID
	name    string // of the cluster, as configured; at most MaxNameLen
}

const (
	helloVersion = 1
	helloHead    = 2 // version and length of the body
	helloFixed   = 1 + 16 + 16 + 1
)

func (h hello) append(b []byte) []byte {
	b = append(b, helloVersion, byte(helloFixed+len(h.name)), byte(h.verdict))
	b = append(b, h.boot[:]...)
	b = append(b, h.cluster[:]...)
	b = append(b, byte(len(h.name)))
	return append(b, h.name...)
}

// readHello reads a hello and not a byte more. An error that is not one of
// reading matches ErrBadHello.
func readHello(r io.Reader) (hello, error) {
	var head [helloHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return hello{}, err
	}
	if head[0] < helloVersion || head[1] < helloFixed {
		return hello{}, fmt.Errorf("%w: %x", ErrBadHello, head)
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(r, body); err != nil {
		return hello{}, err
	}
	return parseHello(head[0], body)
}

func parseHello(version byte, body []byte) (hello, error) {
	r := reader{b: body}
	h := hello{verdict: verdict(r.byte()), boot: r.uuid(), cluster: r.uuid()}
	h.name = string(r.take(int(r.byte())))
	switch {
	case r.short, len(r.b) > 0 && version == helloVersion:
		return hello{}, fmt.Errorf("%w: body of %d bytes", ErrBadHello, len(body))
	case h.boot.IsZero():
		return hello{}, fmt.Errorf("%w: no boot id", ErrBadHello)
	case !validName(h.name):
		return hello{}, fmt.Errorf("%w: cluster name %.*q", ErrBadHello, quoteLimit, h.name)
	case version == helloVersion && h.verdict > otherName:
		return hello{}, fmt.Errorf("%w: verdict %d", ErrBadHello, h.verdict)
	}
	return h, nil
}

// judge returns what h, our own hello, says to that of a peer, and the error
// for that: nil, a *MismatchError, or one matching ErrOtherName.
func (h hello) judge(peer hello) (verdict, error) {
	switch {
	case h.name != peer.name:
		return otherName, fmt.Errorf("%w: node %v is in a cluster named %q, this node in one named %q",
			ErrOtherName, peer.boot, peer.name, h.name)
	case !mayMeet(h.cluster, peer.cluster):
		return otherCluster, &MismatchError{Ours: h.cluster, Theirs: peer.cluster, Peer: peer.boot}
	}
	return welcome, nil
}
