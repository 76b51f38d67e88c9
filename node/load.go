package node

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A Load is what a node does at one moment, and what it has counted since it was
// opened. Nodes tell each other theirs as JSON, see docs/protocol.md, Requests about
// nodes: fields are appended, and those that a reader does not know it passes over.
type Load struct {
	Name      string     `json:"name"`
	Number    NodeNumber `json:"number"`    // its newest
	At        int64      `json:"at_ms"`     // by the clock of that node, in milliseconds since 1970
	Role      string     `json:"role"`      // in granting numbers: voter, nonvoter or outside; empty alone
	Leader    bool       `json:"leader"`    // it leads the voters
	Listeners []string   `json:"listeners"` // SCHEME://HOST:PORT and the path of a WebSocket, where clients connect

	Connections    int    `json:"connections"`
	MaxConnections int    `json:"max_connections"`
	Accepted       uint64 `json:"accepted"`
	MessagesIn     uint64 `json:"messages_in"` // received from clients
	BytesIn        uint64 `json:"bytes_in"`
	MessagesOut    uint64 `json:"messages_out"` // written to their sockets
	BytesOut       uint64 `json:"bytes_out"`
	PendingBytes   int64  `json:"pending_bytes"` // accepted for them, and not written
	Lost           uint64 `json:"lost"`          // messages accepted for them that were not, or not surely, delivered
	Failed         uint64 `json:"failed"`        // operations asked of this node that failed
	Groups         int    `json:"groups"`        // with members at this node

	Phase    DrainPhase `json:"drain_phase"`
	Departed int        `json:"departed"` // connections that its drain has ended
	Left     int        `json:"left"`     // and those that it has not

	Peers     []LinkLoad `json:"peers"`      // by number
	PeersLeft int        `json:"peers_left"` // further ones, over maxPeersTold
}

// A LinkLoad is a node's view of another one that it exchanges something with.
type LinkLoad struct {
	Name       string     `json:"name"`
	Number     NodeNumber `json:"number"`
	Link       string     `json:"link"`        // as NodeInfo.Link
	RTT        int64      `json:"rtt_us"`      // smoothed; 0 before the first
	FramesOut  uint64     `json:"frames_out"`  // sent to it
	QueueBytes int        `json:"queue_bytes"` // for it, queued or not acknowledged
}

const (
	// maxPeersTold bounds the links in a Load, which has to fit into an answer of
	// 64 KiB: 160 bytes each.
	maxPeersTold = 256

	// loadPatience bounds the wait for the loads of other nodes: what is looked at
	// every second is not held up by one that does not answer.
	loadPatience = 900 * time.Millisecond
)

// Load returns what this node does. It waits for nobody, and takes time in proportion
// to the number of nodes.
func (n *Node) Load() Load {
	clients, drain := n.Stats(), n.DrainProgress()
	l := Load{
		Number: n.Number(), At: time.Now().UnixMilli(), Listeners: n.listeners(),
		Connections: clients.Connections, MaxConnections: clients.MaxConns, Accepted: clients.Accepted,
		MessagesIn: clients.MessagesIn, BytesIn: clients.BytesIn, MessagesOut: clients.MessagesOut, BytesOut: clients.BytesOut,
		PendingBytes: clients.PendingBytes, Lost: clients.LostGone + clients.LostUncertain + clients.Dropped + clients.LostExpired,
		Groups: n.GroupStats().Groups, Phase: drain.Phase, Departed: drain.Departed, Left: drain.Left,
	}
	for _, f := range n.Failures() {
		l.Failed += f.Count
	}
	nodes := n.Nodes()
	for _, i := range nodes {
		if i.Self {
			l.Name, l.Role = i.Name, i.Role
		}
	}
	if n.member != nil {
		n.addLinks(&l)
	}
	return l
}

// addLinks adds what this node knows of the others.
func (n *Node) addLinks(l *Load) {
	c := n.member.cluster()
	stats := c.Stats()
	l.Leader = stats.Raft.Leading
	for _, lost := range stats.Mesh.Undelivered {
		l.Lost += lost
	}
	traffic := make(map[idspace.BootID]*mesh.PeerStats, len(stats.Peers))
	for i := range stats.Peers {
		traffic[stats.Peers[i].Boot] = &stats.Peers[i].PeerStats
	}
	for _, life := range c.Nodes() {
		p := traffic[life.Boot]
		if life.Self || p == nil || len(life.Numbers) == 0 {
			continue
		}
		l.Peers = append(l.Peers, LinkLoad{
			Name: life.Name, Number: slices.Max(life.Numbers), Link: p.State.String(), RTT: p.RTT.Microseconds(),
			FramesOut: p.Dialled.FramesOut + p.Accepted.FramesOut, QueueBytes: p.QueueBytes,
		})
	}
	slices.SortFunc(l.Peers, func(a, b LinkLoad) int { return cmp.Compare(a.Number, b.Number) })
	if over := len(l.Peers) - maxPeersTold; over > 0 {
		l.Peers, l.PeersLeft = l.Peers[:maxPeersTold], over
	}
}

// listeners returns where clients can connect.
func (n *Node) listeners() (all []string) {
	addrs := n.Addrs()
	for i, addr := range addrs {
		scheme, path := "tcp", ""
		if i < len(n.opts.Listen) {
			if u, err := url.Parse(n.opts.Listen[i]); err == nil {
				scheme = u.Scheme
				if strings.HasPrefix(scheme, "ws") {
					path = u.Path
				}
			}
		}
		all = append(all, scheme+"://"+addr.String()+path)
	}
	return all
}

// Loads asks every node of the cluster for its Load and returns those that came, by
// number, and the nodes that did not answer. It waits at most 0.9 s, or until ctx is
// done. ErrClosed says that this node is closed.
func (n *Node) Loads(ctx context.Context) (loads []Load, missing []*NodeError, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	loads, missing, err = askAll(ctx, n, n.Load(), mesh.RequestLoad, nil, decodeLoad)
	slices.SortFunc(loads, func(a, b Load) int { return cmp.Compare(a.Number, b.Number) })
	return loads, missing, err
}

func decodeLoad(b []byte) (l Load, err error) {
	if err = json.Unmarshal(b, &l); err == nil && (len(l.Peers) > maxPeersTold || !l.Number.Valid()) {
		err = fmt.Errorf("%w: load of %v with %d links", errBadRequest, l.Number, len(l.Peers))
	}
	return l, err
}

// StartDrainOf has the node that holds number begin its drain, as StartDrain does
// there: by plan, or if that is nil as that node's own options say. It waits until
// the drain has begun, at most 5 s, or until ctx is done. A drain that is under way
// goes on as it was planned.
//
// The error matches ErrBadOption; ErrUnreachable, and nothing has begun; ErrGone if
// the life of that node has ended; ErrUncertain if the drain may have begun; or
// ErrClosed, also if that node is closing.
func (n *Node) StartDrainOf(ctx context.Context, number NodeNumber, plan *DrainPlan) error {
	if n.ids.Owns(number) {
		if plan == nil {
			own := n.DrainDefault()
			plan = &own
		}
		return n.StartDrain(*plan) //nolint:contextcheck // the drain lives as long as the node; ctx is for the wait
	}
	body := []byte(nil)
	if plan != nil {
		if faults := plan.faults(); len(faults) > 0 {
			return fmt.Errorf("drain node %s: %w", number, errors.Join(faults...))
		}
		body = encodePlan(*plan)
	}
	if n.member == nil {
		return fmt.Errorf("drain node %s: %w", number, ErrNeverIssued)
	}
	ctx, cancel := context.WithTimeout(ctx, tieTimeout)
	defer cancel()
	peer, err := n.member.cluster().Locate(ctx, number)
	if err == nil {
		_, err = peer.Request(ctx, mesh.RequestDrain, body)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mesh.ErrRequestFailed):
		err = ErrClosed // the plan is fine
	case errors.Is(err, mesh.ErrUnknownRequest):
		err = fmt.Errorf("%w: that node runs an earlier release, which takes no drain from others", ErrUnreachable)
	default:
		err = outcomeOf(err)
	}
	return fmt.Errorf("drain node %s: %w", number, err)
}

// encodePlan is the body of a drain request; without a plan there is none.
func encodePlan(p DrainPlan) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.Wait.Milliseconds()))
	return binary.BigEndian.AppendUint64(b, uint64(p.Duration.Milliseconds()))
}

func decodePlan(b []byte) (p DrainPlan, err error) {
	if len(b) != 16 {
		return p, errBadRequest
	}
	const most = uint64(maxDrain / time.Millisecond)
	wait, duration := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	if wait > most || duration > most {
		return p, errBadRequest
	}
	return DrainPlan{time.Duration(wait) * time.Millisecond, time.Duration(duration) * time.Millisecond}, nil
}

// peerRequests answers what other nodes ask of this one.
type peerRequests struct {
	groupRequests
	n *Node
}

// Handle answers a request of mesh.Requests.
func (r peerRequests) Handle(ctx context.Context, peer idspace.BootID, kind mesh.RequestKind, body []byte) ([]byte, error) {
	switch kind { //nolint:exhaustive // the others are about groups, or the cluster's
	case mesh.RequestLoad, mesh.RequestDrain:
		if _, err := r.owner.hold(); err != nil {
			return nil, err // it has no number yet, and is neither looked at nor drained
		}
	default:
		return r.groupRequests.Handle(ctx, peer, kind, body)
	}
	if kind == mesh.RequestLoad {
		return json.Marshal(r.n.Load())
	}
	plan := r.n.DrainDefault()
	if len(body) > 0 {
		var err error
		if plan, err = decodePlan(body); err != nil {
			return nil, err
		}
	}
	if err := r.n.StartDrain(plan); err != nil { //nolint:contextcheck // likewise
		return nil, err
	}
	r.n.logger.Info("another node has asked this one to drain", "wait", plan.Wait, "duration", plan.Duration)
	return nil, nil
}
