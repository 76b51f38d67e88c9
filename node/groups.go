package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
	"flamingo/transport"
)

// groups is what a node knows of groups and metadata: those of its own
// connections, and which groups have members elsewhere (ADR 21).
type groups struct {
	clients *transport.Transport // set before anything is served, as the next

	members *memberships
	meta    *metadata
	own     *interests
	others  *replicas
	counts  groupCounts
	moved   atomic.Uint64 // how often others have come, gone or changed numbers

	announcer atomic.Pointer[announcer] // nil before it runs, and alone
}

// groupCounts are what GroupStats tells of, since the node was opened.
type groupCounts struct {
	published, delivered, refused, unreachable, lost, limited, unannounced atomic.Uint64
}

// Defaults of the options about groups and metadata.
const (
	DefaultGroupsPerConn  = 64
	DefaultMaxGroups      = 1 << 20
	DefaultMetaBytes      = 1 << 10
	DefaultTotalMetaBytes = 64 << 20
)

// MaxMetaBytes is the most that Opts.MetaBytes can be, in bytes: so much fits into
// the description of a connection between nodes, whatever it is.
const MaxMetaBytes = 8 << 10

const (
	mostGroupsPerConn  = 256 // whose names fit into an answer between nodes
	mostMaxGroups      = 1 << 24
	mostTotalMetaBytes = 1 << 30
)

// groupFaults finds what is out of range of the options about groups.
func (o *Opts) groupFaults() (faults []error) {
	for _, n := range []struct {
		name        string
		value, most int
	}{
		{"GroupsPerConn", o.GroupsPerConn, mostGroupsPerConn},
		{"MaxGroups", o.MaxGroups, mostMaxGroups},
		{"MetaBytes", o.MetaBytes, MaxMetaBytes},
		{"TotalMetaBytes", o.TotalMetaBytes, mostTotalMetaBytes},
	} {
		if n.value < 0 || n.value > n.most {
			faults = append(faults, badOption(n.name, n.value, fmt.Sprintf("0 to %d", n.most)))
		}
	}
	return faults
}

// newGroups returns the groups of a node whose options are within their ranges.
func newGroups(o *Opts) *groups {
	g := &groups{own: newInterests(), others: newReplicas(mostMaxGroups)}
	g.members = newMemberships(orDefault(o.GroupsPerConn, DefaultGroupsPerConn), orDefault(o.MaxGroups, DefaultMaxGroups), g.own.set)
	g.meta = newMetadata(orDefault(o.MetaBytes, DefaultMetaBytes), orDefault(o.TotalMetaBytes, DefaultTotalMetaBytes))
	return g
}

func orDefault(n, unset int) int {
	if n == 0 {
		return unset
	}
	return n
}

// move takes note that others have come, gone or changed numbers.
func (g *groups) move() {
	g.moved.Add(1)
	g.own.wake()
}

// ended forgets a connection of this node, whose id is gone for good.
func (g *groups) ended(id ID) {
	g.members.drop(id)
	g.meta.drop(id)
}

// describe is Transport.Describe, with metadata.
func (g *groups) describe(id ID) (ConnInfo, error) {
	info, err := g.clients.Describe(id)
	if err == nil {
		info.Meta = g.meta.get(id)
	}
	return info, err
}

// tie does what t says with a connection of this node.
func (g *groups) tie(t tie) (names []string, err error) {
	switch t.what {
	case tieJoin, tieLeave:
		err = checkGroup(t.name)
	case tieMeta:
		err = checkMeta(t.name, t.value)
	case tieGroups:
	}
	if err != nil {
		return nil, err
	}
	switch t.what {
	case tieJoin:
		err = g.members.join(t.id, t.name, g.clients.Tie)
	case tieMeta:
		err = g.meta.set(t.id, t.name, t.value, g.clients.Tie)
	case tieLeave:
		g.members.leave(t.id, t.name)
		err = g.clients.Tie(t.id)
	case tieGroups:
		names = g.members.groupsOf(t.id)
		err = g.clients.Tie(t.id)
	}
	if errors.Is(err, ErrLimit) {
		g.counts.limited.Add(1)
	}
	return names, err
}

// tie implements carrier.
func (c *localCarrier) tie(_ context.Context, t tie) (tied, error) {
	names, err := c.groups.tie(t)
	return tied{groups: names, version: c.groups.own.current()}, c.judge(t.id, err)
}

// lose takes note of messages for the members of a group that a node was handed
// and has not taken, or not surely.
func (g *groups) lose(u mesh.Undelivered, logger *slog.Logger) {
	g.counts.lost.Add(uint64(u.Messages))
	logger.Warn("messages for a group were lost on the way to a node",
		"group", u.Group, "node", g.others.nameOf(u.Peer), "messages", u.Messages, "outcome", outcomeOf(u.Outcome.Err()))
}

// newAnnouncer returns what tells other nodes of this one's groups.
func (n *Node) newAnnouncer() *announcer {
	links := func() *mesh.Mesh { return n.member.cluster().Mesh() } // another one in each life
	return &announcer{
		own: n.groups.own, meet: n.groups.others.meet, have: n.groups.others.version, peers: make(map[idspace.BootID]*told),
		moved:  n.groups.moved.Load,
		failed: func() { n.groups.counts.unannounced.Add(1) },
		request: func(ctx context.Context, to idspace.BootID, body []byte) ([]byte, error) {
			return links().Request(ctx, to, mesh.RequestInterests, body)
		},
		lives: func() (lives []peerLife) {
			for _, life := range n.member.cluster().Nodes() {
				if !life.Self && len(life.Numbers) > 0 {
					lives = append(lives, peerLife{life.Boot, life.Name, slices.Max(life.Numbers), life.Present})
				}
			}
			return lives
		},
	}
}

// tieTimeout bounds the wait for the owner's word on a group or metadata.
const tieTimeout = 5 * time.Second

// tie implements carrier.
func (c remoteCarrier) tie(ctx context.Context, t tie) (tied, error) {
	ctx, cancel := context.WithTimeout(ctx, tieTimeout)
	defer cancel()
	body, err := c.peer.Request(ctx, mesh.RequestTie, t.encode())
	if err != nil {
		return tied{}, outcomeOf(err)
	}
	answer, err := decodeTied(body)
	if err != nil {
		return tied{}, fmt.Errorf("%w: answer of %s: %w", ErrUncertain, c.peer.Boot(), err)
	}
	switch answer.code {
	case codeLimit:
		return answer, fmt.Errorf("%w: at node %s", ErrLimit, c.peer.Boot())
	case codeBadGroup:
		return answer, ErrBadGroup
	default:
		return answer, outcomeOf(mesh.Outcome(answer.code).Err())
	}
}

// JoinGroup makes the connection id, wherever it is, a member of a group, until it
// leaves it or ends. It waits for the word of the connection's node, at most 5 s;
// then ErrUncertain, and to ask again does no harm: who is a member already stays
// it. The error matches an outcome, or ErrBadGroup, or ErrLimit for
// Opts.GroupsPerConn and Opts.MaxGroups of that node.
//
// What this node publishes from then on reaches the connection; what others do
// does so once they have heard of it: a few milliseconds later, or when the way to
// them is open again.
//
// A group exists while it has members. Its name is 1 to 128 bytes of UTF-8 without
// control characters, such as room/7. All connections of a user are the group
// user/42: there is nothing else for that.
func (n *Node) JoinGroup(id ID, group string) error {
	_, err := n.tie("join", tie{what: tieJoin, id: id, name: group}, checkGroup(group))
	return err
}

// LeaveGroup ends the membership that JoinGroup began, if there is one. It waits
// and answers as JoinGroup does.
func (n *Node) LeaveGroup(id ID, group string) error {
	_, err := n.tie("leave", tie{what: tieLeave, id: id, name: group}, checkGroup(group))
	return err
}

// Groups returns the groups of the connection id, wherever it is, by name. It
// waits and answers as JoinGroup does.
func (n *Node) Groups(id ID) ([]string, error) {
	answer, err := n.tie("groups", tie{what: tieGroups, id: id}, nil)
	return answer.groups, err
}

// SetMeta notes value under key for the connection id, wherever it is, until it
// ends: whoever describes it is told. An empty value takes the key away. A key has
// 1 to 64 bytes of UTF-8 without control characters, a value is UTF-8; both, and 4
// bytes for each pair, count in Opts.MetaBytes. SetMeta waits and answers as
// JoinGroup does.
func (n *Node) SetMeta(id ID, key, value string) error {
	_, err := n.tie("set metadata of", tie{what: tieMeta, id: id, name: key, value: value}, checkMeta(key, value))
	return err
}

// Meta returns what SetMeta has noted for the connection id, wherever it is; nil
// for nothing. It is Describe that returns nothing else.
func (n *Node) Meta(ctx context.Context, id ID) (map[string]string, error) {
	info, err := n.Describe(ctx, id)
	return info.Meta, err
}

// tie has the owner of a connection do t, unless fault says that it would not.
func (n *Node) tie(op string, t tie, fault error) (tied, error) {
	if fault != nil {
		return tied{}, n.outcome(op, t.id, fault)
	}
	c, err := n.route(n.life, t.id)
	if err != nil {
		return tied{}, n.outcome(op, t.id, err)
	}
	answer, err := c.tie(n.life, t)
	if r, remote := c.(remoteCarrier); remote && err == nil && t.what == tieJoin {
		n.groups.others.hint(r.peer.Boot(), hashOf(t.name), answer.version)
	}
	return answer, n.outcome(op, t.id, err)
}

// groupRequests answers what other nodes ask about groups.
type groupRequests struct {
	*groups
	owner *owner
}

// Handle answers a request of mesh.Requests.
func (g groupRequests) Handle(ctx context.Context, peer idspace.BootID, kind mesh.RequestKind, body []byte) ([]byte, error) {
	switch kind { //nolint:exhaustive // the other kinds are the cluster's
	case mesh.RequestTie:
		return g.tied(ctx, body)
	case mesh.RequestMembers:
		q, err := decodeMembersRequest(body)
		if err != nil {
			return nil, err
		}
		var p membersPage
		p.ids, p.total, p.more = g.members.page(q.name, q.after, q.limit)
		return p.encode(), nil
	case mesh.RequestGroups:
		after, limit, err := decodeGroupsRequest(body)
		if err != nil {
			return nil, err
		}
		return encodeGroupSizes(g.members.list(after, limit)), nil
	case mesh.RequestInterests:
		return g.hear(peer, body)
	case mesh.RequestConnections:
		return g.answerConnections(body)
	default:
		return nil, mesh.ErrUnknownRequest
	}
}

func (g *groups) hear(peer idspace.BootID, body []byte) ([]byte, error) {
	a, err := decodeAnnouncement(body)
	if err != nil {
		return nil, err
	}
	version, err := g.others.hear(peer, a)
	if err != nil {
		return nil, err
	}
	if herald := g.announcer.Load(); herald != nil {
		herald.learn(peer, a.have)
	}
	return encodeVersion(version), nil
}

func (g groupRequests) tied(ctx context.Context, body []byte) ([]byte, error) {
	t, err := decodeTie(body)
	if err != nil {
		return nil, err
	}
	c, err := g.owner.hold()
	if err == nil && !c.ids.Owns(t.id.Node()) {
		return tied{code: byte(mesh.OutcomeNotMine)}.encode(), nil
	}
	var answer tied
	if err == nil {
		answer, err = c.tie(ctx, t)
		err = c.ending(t.id, err)
	}
	switch {
	case errors.Is(err, ErrLimit):
		answer.code = codeLimit
	case errors.Is(err, ErrBadGroup):
		answer.code = codeBadGroup
	default:
		answer.code = byte(codeOf(err))
	}
	return answer.encode(), nil
}

// GroupStats are counts of a node since it was opened, and sizes at this moment.
type GroupStats struct {
	Groups      int // with members on this node
	Memberships int // of connections of this node
	MetaBytes   int // of metadata of those
	Elsewhere   int // groups with members on other nodes, counted for each of them

	Published   uint64 // calls of Publish
	Delivered   uint64 // messages that connections of this node took, whoever published them
	Refused     uint64 // messages that they did not take
	Unreachable uint64 // nodes that a publish or the end of a group was not, or not wholly, handed to
	Lost        uint64 // of those handed to a node, not or not surely taken by it
	Limited     uint64 // joins and metadata refused for a bound of this node
	Unannounced uint64 // attempts to tell another node of groups that have failed
	Retold      uint64 // times that a node had to tell this one of all its groups
}

// GroupStats returns the counts of this node.
func (n *Node) GroupStats() GroupStats {
	g, c := n.groups, &n.groups.counts
	st := GroupStats{
		MetaBytes: g.meta.bytes(), Published: c.published.Load(), Delivered: c.delivered.Load(), Refused: c.refused.Load(),
		Unreachable: c.unreachable.Load(), Lost: c.lost.Load(), Limited: c.limited.Load(), Unannounced: c.unannounced.Load(),
	}
	st.Groups, st.Memberships = g.members.sizes()
	st.Elsewhere, st.Retold = g.others.counts()
	return st
}

// out reports which ids are left out, by a search.
func out(except []ID) func(ID) bool {
	if len(except) <= 8 {
		return func(id ID) bool { return slices.Contains(except, id) }
	}
	sorted := slices.Sorted(slices.Values(except))
	return func(id ID) bool {
		_, found := slices.BinarySearch(sorted, id)
		return found
	}
}
