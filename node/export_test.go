package node

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/idspace"
	"flamingo/transport"
)

// A Clock is the clock of a node.
type Clock = clock

// NewClock returns a clock made of functions.
func NewClock(now func() time.Time, sleep func(context.Context, time.Duration) error) Clock {
	return clock{now: now, sleep: sleep}
}

// OpenWithClock is Open with a clock of the test's own.
func OpenWithClock(opts Opts, c Clock) (*Node, error) {
	return open(context.Background(), opts, surroundings{clock: c})
}

// OpenHasty is Open with timings for a quiet loopback: failures are seen within
// a second, and outcomes are waited for as long.
func OpenHasty(ctx context.Context, opts Opts) (*Node, error) {
	return open(ctx, opts, surroundings{
		clock: systemClock, gossip: gossip.Fast(), election: 200 * time.Millisecond, flush: time.Second,
	})
}

// OpenOn is Open as one host of network, for other nodes and for clients, where
// the wall clock says now.
func OpenOn(ctx context.Context, network port.Network, now func() time.Time, opts Opts) (*Node, error) {
	return open(ctx, opts, surroundings{
		clock: clock{now: now, sleep: sleep}, network: network,
		listen: func(ctx context.Context, l transport.Listener) (net.Listener, error) {
			addr, err := netip.ParseAddrPort(l.Address)
			if err != nil {
				return nil, err
			}
			return network.Listen(ctx, addr)
		},
	})
}

// DecodeConnections returns how many connections an answer has.
func DecodeConnections(b []byte) (int, error) {
	p, err := decodeConnections(b)
	return len(p.items), err
}

// A Granter grants node numbers to one life.
type Granter = granter

// NewStandaloneGranter begins a life without a cluster.
func NewStandaloneGranter(c Clock, dir string) (Granter, error) {
	g, err := newStandalone(c, dir)
	if err != nil {
		return nil, err
	}
	return g, nil
}

// NumberFile is the file of the data directory that holds the last number.
const NumberFile = numberFile

// RestAfterClose is how long a Recv method rests that is called after the end.
const RestAfterClose = restAfterClose

// SkipTo makes serial the one issued last under the number in use. Nothing may
// connect meanwhile. Package idspace has no such method outside its own tests.
func SkipTo(n *Node, serial idspace.Serial) {
	field := reflect.ValueOf(n.ids).Elem().FieldByName("last")
	last := (*atomic.Uint64)(unsafe.Pointer(field.UnsafeAddr()))
	number := idspace.ID(last.Load()).Node()
	last.Store(uint64(number)<<idspace.SerialBits | uint64(serial))
}

// ClosedNode returns a node that is closed and never had a socket.
func ClosedNode() (*Node, error) {
	n := &Node{opts: Opts{Logger: slog.New(slog.DiscardHandler)}, drain: newDraining(), closing: make(chan struct{}, 1)}
	if err := n.build(surroundings{clock: systemClock}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.closed.Store(true)
	return n, n.clients.Run(ctx)
}

// CodeOf and OutcomeOf are the two directions between outcomes here and those
// of the mesh.
var (
	CodeOf    = codeOf
	OutcomeOf = outcomeOf
)

// EncodeConnInfo and DecodeConnInfo are the two ends of a describe request.
var (
	EncodeConnInfo = encodeConnInfo
	DecodeConnInfo = decodeConnInfo
)

// LogIndex returns how many entries the log of the cluster's grants has, as far
// as n has them.
func LogIndex(n *Node) uint64 { return n.member.cluster().State().Index }

// OwnerOf returns what other nodes reach the connections of n by.
func OwnerOf(n *Node) mesh.Owner { return n.member.owner }

// SendAtOnce sends to the given number of carriers, of which each waits for all
// the others. It returns the outcomes, the carriers' indexes as errors.
func SendAtOnce(carriers int) (results []error) {
	var meeting sync.WaitGroup
	meeting.Add(carriers)
	ids := make([]ID, 2*carriers)
	routes := make(map[carrier][]int)
	for i := range ids {
		ids[i] = ID(i)
	}
	for i := range carriers {
		routes[&meetingCarrier{meeting: &meeting}] = []int{i, i + carriers}
	}
	results = make([]error, len(ids))
	sendEach(routes, ids, KindDefault, nil, results)
	return results
}

// A meetingCarrier sends nothing. It says of each id that it was the one.
type meetingCarrier struct {
	carrier
	meeting *sync.WaitGroup
}

func (c *meetingCarrier) sendMany(ids []ID, _ Kind, _ []byte, results []error) {
	c.meeting.Done()
	c.meeting.Wait()
	for i, id := range ids {
		results[i] = &OpError{ID: id}
	}
}

// Leads reports whether n leads its cluster.
func Leads(n *Node) bool { return n.member.cluster().State().Leading }

// VersionIn is Version of a program with that build information.
func VersionIn(info *debug.BuildInfo) string { return versionIn(info) }
