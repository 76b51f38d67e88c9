// Command watcher is a member of a cluster that watches connections of others: it
// reads ids from its standard input, a line each, and prints what becomes of them. It
// ends when its input does. The test of upgrades builds it at two commits, so it uses
// nothing that was not always there.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"flamingo/node"
)

// setup is what the variable says.
type setup struct {
	Name, Cluster, KeyFile string
	Join                   []string
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var s setup
	if err := json.Unmarshal([]byte(os.Getenv("FLAMINGO_TEST_WATCHER")), &s); err != nil {
		return err
	}
	n, err := node.OpenContext(ctx, node.Opts{
		Listen: []string{"tcp://127.0.0.1:0"}, Name: s.Name, Cluster: s.Cluster, Join: s.Join, ClusterKeyFile: s.KeyFile,
		Ignore: node.IgnoreOpens | node.IgnoreCloses, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var id node.ID
		if err := id.UnmarshalText(in.Bytes()); err != nil {
			stop()
			return err
		}
		events, err := n.Watch(ctx, id)
		if err != nil {
			fmt.Println(id, "refused", err)
			continue
		}
		fmt.Println(id, "watched")
		watching.Go(func() {
			for e := range events {
				fmt.Println(id, e.State, e.Reason)
			}
			fmt.Println(id, "over")
		})
	}
	stop()
	watching.Wait()
	return n.Close(context.WithoutCancel(ctx))
}
