package flamingo_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"flamingo"
	"flamingo/node/nodetest"
)

// An echo server, and a client of it. The README shows the server.
func Example() {
	n := flamingo.New(flamingo.Opts{
		Listen: []string{"tcp://127.0.0.1:0?framing=line"},
		Ignore: flamingo.IgnoreOpens | flamingo.IgnoreCloses,
	})
	go sayHello(n)
	for id, msg := range n.Messages() { // what the clients of this node say
		err := n.SendData(id, msg) // to any client of any node
		if errors.Is(err, flamingo.ErrGone) {
			slog.Info("left before its answer", "id", id)
		}
	}
	// Output: hello
}

// sayHello is a client: it prints the answer, and closes the node.
func sayHello(n *flamingo.Node) {
	client, _ := net.Dial("tcp", n.Addrs()[0].String())
	defer client.Close()
	fmt.Fprintln(client, "hello")
	answer, _ := bufio.NewReader(client).ReadString('\n')
	fmt.Fprint(os.Stdout, answer)
	n.Close(context.Background())
}

// A node of a cluster of three machines. The README shows it.
func ExampleOpen_cluster() {
	n, err := flamingo.Open(flamingo.Opts{
		Listen:  []string{"tcp://:4100?framing=line"},
		Cluster: "10.0.0.1:4110", // this node's address; TCP and UDP
		Join:    []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"},
		Expect:  3, // 1, 3 or 5 new nodes found a cluster and are its voters; others join it
		DataDir: "/var/lib/flamingo",

		Insecure: true, // clear text between nodes: on a network of their own; else ClusterKeyFile
	})
	if err != nil {
		panic(err)
	}
	defer n.Close(context.Background())
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
		port, _, err := nodetest.FreePorts(0)
		if err != nil {
			panic(err)
		}
		addrs = append(addrs, fmt.Sprint("127.0.0.1:", port))
	}
	return addrs
}
