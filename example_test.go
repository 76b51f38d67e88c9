package flamingo_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"flamingo"
)

// An echo server, and a client of it.
func Example() {
	node, err := flamingo.Open(flamingo.Opts{
		Listen: []string{"tcp://127.0.0.1:0?framing=line"},
		Ignore: flamingo.IgnoreOpens | flamingo.IgnoreCloses,
	})
	if err != nil {
		panic(err)
	}
	defer node.Close(context.Background())
	go func() {
		for id, msg := range node.Messages() {
			_ = node.SendData(id, msg)
		}
	}()

	client, _ := net.Dial("tcp", node.Addrs()[0].String())
	defer client.Close()
	fmt.Fprintln(client, "hello")
	answer, _ := bufio.NewReader(client).ReadString('\n')
	fmt.Print(answer)
	// Output: hello
}

// Three nodes in one program: each sends to the connections of all. On three
// machines the options are the same but for the address of the node itself.
func Example_cluster() {
	dir, _ := os.MkdirTemp("", "flamingo-example-")
	defer os.RemoveAll(dir)
	all := freeAddrs(3)
	nodes := make([]*flamingo.Node, len(all))
	var opening sync.WaitGroup
	for i := range nodes {
		opening.Go(func() {
			nodes[i] = flamingo.New(flamingo.Opts{
				Cluster: all[i],                                    // where other nodes reach this one
				Join:    all,                                       // where to look for them
				Expect:  3,                                         // how many found the cluster
				DataDir: filepath.Join(dir, fmt.Sprint("node", i)), // what this node must not forget

				Listen: []string{"tcp://127.0.0.1:0?framing=line"},
				Ignore: flamingo.IgnoreCloses,
				Logger: slog.New(slog.DiscardHandler),
			})
		})
	}
	opening.Wait()
	for _, n := range nodes {
		defer n.Close(context.Background())
	}

	client, _ := net.Dial("tcp", nodes[0].Addrs()[0].String())
	defer client.Close()
	id, _ := nodes[0].RecvOpen()
	if err := nodes[2].Send(context.Background(), id, []byte("hello from another node")); err != nil {
		panic(err)
	}
	line, _ := bufio.NewReader(client).ReadString('\n')
	fmt.Print(line)
	// Output: hello from another node
}

// freeAddrs returns addresses on loopback whose ports nobody uses.
func freeAddrs(n int) (addrs []string) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs
}
