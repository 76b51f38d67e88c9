package port_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"sync"

	"flamingo/cluster/port"
)

// Two protocols on one port: each consumer gets its own streams.
func Example() {
	p, err := port.New(port.Config{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		fmt.Println(err)
		return
	}
	raft, _ := p.Streams(port.Raft)
	links, _ := p.Streams(port.Mesh)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := p.Listen(ctx); err != nil {
		fmt.Println(err)
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(ctx) })

	for _, proto := range []port.Protocol{port.Mesh, port.Raft} {
		c, err := p.Dial(ctx, p.Addr(), proto)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _ = io.WriteString(c, "for "+proto.String())
		c.Close()
	}
	for _, s := range []*port.Streams{raft, links} {
		c, err := s.Accept()
		if err != nil {
			fmt.Println(err)
			return
		}
		b, _ := io.ReadAll(c)
		c.Close()
		fmt.Println(string(b))
	}
	stop()
	wg.Wait()
	// Output:
	// for raft
	// for mesh
}
