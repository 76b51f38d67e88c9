package consensus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/idspace"
)

// alone is the network, and the peers, of a server that has none.
type alone struct{}

var errAlone = errors.New("nobody else is there")

func (alone) Dial(context.Context, idspace.ServerID) (net.Conn, error) { return nil, errAlone }

func (alone) Accept(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (alone) AskPromise(context.Context, idspace.ServerID, consensus.Proposal) (consensus.Answer, error) {
	return consensus.Answer{}, errAlone
}

func (alone) Release(context.Context, idspace.ServerID, consensus.Proposal) error { return errAlone }

// One server in memory founds a cluster and grants a number.
func Example() {
	boot, _ := idspace.NewBootID(rand.Reader)
	store, err := consensus.OpenStore(consensus.StoreConfig{Boot: boot, Random: rand.Reader})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	self := store.Identity().Server
	server, _ := consensus.New(consensus.Config{
		Store: store, Network: alone{}, Voters: 1,
		HeartbeatTimeout: 50 * time.Millisecond, ElectionTimeout: 50 * time.Millisecond, LeaseTimeout: 50 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Run(ctx) }()

	proposer, _ := consensus.NewProposer(consensus.ProposerConfig{
		Store: store, Peers: alone{}, Random: rand.Reader,
		Choose: func() []idspace.ServerID { return []idspace.ServerID{self} },
	})
	fmt.Println("founded:", proposer.Run(ctx) == nil)

	for changed := server.Changed(); !server.State().Serving; changed = server.Changed() {
		<-changed
	}
	granted, err := server.Grant(ctx, boot, 1, idspace.ServerID{}, 0)
	fmt.Println("granted:", granted.Number == server.Last(), err)

	cancel()
	fmt.Println("stopped:", <-done)
	// Output:
	// founded: true
	// granted: true <nil>
	// stopped: <nil>
}
