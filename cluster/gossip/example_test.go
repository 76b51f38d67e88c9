package gossip_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"sync"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port"
	"flamingo/idspace"
)

// A node listens on its port, joins whom it finds, and follows the members.
// The port runs on until gossip has said goodbye.
func Example() {
	p, err := port.New(port.Config{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Listen(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	boot, _ := idspace.NewBootID(rand.Reader)
	g, err := gossip.New(gossip.Config{
		Port:   p,
		Boot:   boot,
		Meta:   gossip.Meta{Name: "berlin-1", MinVersion: 1, MaxVersion: 1},
		Seeds:  []string{"dns:nodes.invalid"},
		Timing: gossip.Fast(),
	})
	if err != nil {
		p.Close()
		fmt.Println(err)
		return
	}

	portCtx, stopPort := context.WithCancel(context.Background())
	defer stopPort()
	ctx, stop := context.WithCancel(portCtx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(portCtx) })
	wg.Go(func() {
		defer stopPort()
		_ = g.Run(ctx)
	})
	for change := range g.Changes(ctx) {
		fmt.Println(change.Kind, change.Member.Meta.Name, change.Member.Meta.State)
		stop()
	}
	wg.Wait()
	// Output: joined berlin-1 joining
}
