package flamingo_test

import (
	"bufio"
	"context"
	"fmt"
	"net"

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
