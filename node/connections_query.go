package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"flamingo/cluster"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// The request for connections and its answer are fixed layouts, integers big-endian,
// and docs/protocol.md has them in words:
//
//	connections  from:4 limit:2
//	  answer     next:4, then for each connection n:4 and n bytes of JSON

// answerBytes bounds the answer to a request for connections. One connection fits,
// whatever is noted of it (MaxMetaBytes).
const answerBytes = 60 << 10

// errBadConnections: a peer does not keep to the layout.
var errBadConnections = errors.New("bad request for connections, or answer to one")

// A ClusterPage is a part of the connections of all nodes.
type ClusterPage struct {
	Items   []ConnInfo
	Next    string       // cursor of the next page, which may have no items; empty after the last
	Missing []*NodeError // nodes that did not answer: their connections are left out
}

// ClusterConnections returns open connections of all nodes, node by node, the one with
// the oldest number first: at most limit (1 to 1,000), from cursor on, which is empty
// to begin with, then ClusterPage.Next. A connection that is open throughout, at nodes
// that answer, is listed exactly once. It waits at most 5 s, or until ctx is done; nodes
// that do not answer are named and passed over.
func (n *Node) ClusterConnections(ctx context.Context, cursor string, limit int) (ClusterPage, error) {
	if limit < 1 || limit > maxPage {
		return ClusterPage{}, badOption("limit", limit, "1 to "+strconv.Itoa(maxPage))
	}
	at, err := parsePlace(cursor)
	if err != nil {
		return ClusterPage{}, err
	}
	if n.closed.Load() {
		return ClusterPage{}, ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, tieTimeout)
	defer cancel()
	var page ClusterPage
	for _, life := range n.livesFrom(at.number) {
		from := uint32(0)
		if life.Numbers[0] == at.number {
			from = at.from
		}
		for first := true; first || from != 0; first = false {
			if len(page.Items) == limit || ctx.Err() != nil {
				page.Next = place{life.Numbers[0], from}.String()
				return page, nil
			}
			answer, err := n.connectionsOf(ctx, life, from, limit-len(page.Items))
			if err != nil {
				page.Missing = append(page.Missing, &NodeError{life.Name, slices.Max(life.Numbers), fmt.Errorf("%w: %w", ErrUnreachable, err)})
				break
			}
			page.Items, from = append(page.Items, answer.items...), answer.next
		}
	}
	return page, nil
}

// livesFrom returns the lives that hold numbers, from that with the oldest number
// first on, ordered by it. Alone this node is the only one.
func (n *Node) livesFrom(first NodeNumber) []cluster.Node {
	lives := []cluster.Node{{Numbers: n.ids.Numbers(), Self: true}}
	if n.member != nil {
		lives = n.member.cluster().Nodes()
	}
	lives = slices.DeleteFunc(lives, func(l cluster.Node) bool { return len(l.Numbers) == 0 || l.Numbers[0] < first })
	slices.SortFunc(lives, func(a, b cluster.Node) int { return cmp.Compare(a.Numbers[0], b.Numbers[0]) })
	return lives
}

// connectionsOf asks a life for its connections.
func (n *Node) connectionsOf(ctx context.Context, life cluster.Node, from uint32, limit int) (connectionsPage, error) {
	switch {
	case life.Self:
		return n.groups.connections(from, limit), nil
	case !life.Present:
		return connectionsPage{}, mesh.ErrUnreachable
	}
	body := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, from), uint16(limit))
	reply, err := n.member.cluster().Mesh().Request(ctx, life.Boot, mesh.RequestConnections, body)
	if err != nil {
		return connectionsPage{}, err
	}
	page, err := decodeConnections(reply)
	if err == nil && (len(page.items) > limit || page.next != 0 && page.next <= from) {
		err = errBadConnections // it would never end
	}
	return page, err
}

// A connectionsPage is a part of the connections of one node.
type connectionsPage struct {
	items []ConnInfo
	next  uint32 // zero after the last
}

// connections returns connections of this node, with their metadata.
func (g *groups) connections(from uint32, limit int) (p connectionsPage) {
	p.items, p.next = g.clients.Connections(from, limit)
	for i := range p.items {
		p.items[i].Meta = g.meta.get(p.items[i].ID)
	}
	return p
}

// answerConnections answers another node: with as many as fit.
func (g *groups) answerConnections(body []byte) ([]byte, error) {
	if len(body) != 4+2 {
		return nil, errBadConnections
	}
	from, limit := binary.BigEndian.Uint32(body), int(binary.BigEndian.Uint16(body[4:]))
	if limit < 1 || limit > maxPage {
		return nil, errBadConnections
	}
	answer := make([]byte, 4, 4<<10)
	for range limit {
		p := g.connections(from, 1)
		for _, c := range p.items {
			text, err := encodeConnInfo(c)
			if err != nil {
				return nil, err
			}
			if len(answer) > 4 && len(answer)+4+len(text) > answerBytes {
				binary.BigEndian.PutUint32(answer, from)
				return answer, nil
			}
			answer = append(binary.BigEndian.AppendUint32(answer, uint32(len(text))), text...)
		}
		if from = p.next; from == 0 {
			break
		}
	}
	binary.BigEndian.PutUint32(answer, from)
	return answer, nil
}

func decodeConnections(b []byte) (p connectionsPage, err error) {
	if len(b) < 4 {
		return p, errBadConnections
	}
	p.next = binary.BigEndian.Uint32(b)
	for b = b[4:]; len(b) > 0; {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) || len(p.items) == maxPage {
			return connectionsPage{}, errBadConnections
		}
		end := 4 + int(binary.BigEndian.Uint32(b))
		c, err := decodeConnInfo(b[4:end])
		if err != nil {
			return connectionsPage{}, err
		}
		p.items, b = append(p.items, c), b[end:]
	}
	return p, nil
}

// A place is where a list of connections goes on: at the life with that oldest number.
type place struct {
	number NodeNumber
	from   uint32
}

func (p place) String() string { return fmt.Sprintf("%v.%x", p.number, p.from) }

// parsePlace reads a cursor. Empty is the beginning.
func parsePlace(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	number, from, found := strings.Cut(cursor, ".")
	at, err := strconv.ParseUint(from, 16, 32)
	if err == nil && found {
		p.from = uint32(at)
		p.number, err = idspace.ParseNodeNumber(number)
	}
	if err != nil || !found {
		return place{}, badOption("cursor", strconv.Quote(cursor), "what the page before says")
	}
	return p, nil
}
