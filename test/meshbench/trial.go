//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"flamingo/test/bench"
	"flamingo/test/meshbench/worker"
)

// A trial is one design at work on one row, with processes of its own.
type trial struct {
	row           *row
	sender, owner *child
	server        *child // between them, or nil
	sink          *child
	board         *worker.Board
}

// startTrial returns once the sender can reach every client.
func (dr *driver) startTrial(ctx context.Context, p plan, r *row) (t *trial, err error) {
	t = &trial{row: r}
	defer func() {
		if err != nil {
			t.stop()
			t = nil
		}
	}()
	addrs, err := bench.FreeAddrs(5)
	if err != nil {
		return t, err
	}
	ownAddr, ownerAddr, serverAddr, ownClients, ownerClients := addrs[0], addrs[1], addrs[2], addrs[3], addrs[4]
	board := filepath.Join(dr.dir, "board")
	if err := os.RemoveAll(board); err != nil {
		return t, err
	}
	if t.board, err = worker.OpenBoard(board); err != nil {
		return t, err
	}
	start := func(cores, clients string, more ...string) (*child, error) {
		args := append(append([]string(nil), p.program...), "-board", board, "-clients", clients)
		c, err := startChild(ctx, cores, append(args, more...)...)
		if err == nil {
			_, err = c.ask(worker.Order{Do: "ids"}) // it listens
		}
		return c, err
	}
	dial := []string{"-dial", ownerAddr}
	var ownersDial []string
	if p.server != nil {
		if t.server, err = startChild(ctx, r.cpus.sender, p.server(serverAddr)...); err != nil {
			return t, err
		}
		dial = []string{"-dial", serverAddr}
		ownersDial = dial
	}
	if t.owner, err = start(r.cpus.owner, ownerClients, append(ownersDial, "-listen", ownerAddr)...); err != nil {
		return t, err
	}
	if t.sender, err = start(r.cpus.sender, ownClients, append(dial, "-listen", ownAddr, "-sends")...); err != nil {
		return t, err
	}
	sink := []string{
		dr.self, "sink", "-board", board, fmt.Sprintf("-eager=%t", r.eager()),
		fmt.Sprintf("%s=%d", ownerClients, conns-r.own), fmt.Sprintf("%s=%d", ownClients, r.own),
	}
	if t.sink, err = startChild(ctx, r.cpus.owner, sink...); err != nil {
		return t, err
	}
	return t, t.introduce(ctx)
}

// introduce tells the sender the ids of the clients.
func (t *trial) introduce(ctx context.Context) error {
	if err := t.sink.answer("connect", &worker.Answer{}); err != nil {
		return err
	}
	var use worker.Order
	err := within(ctx, 20*time.Second, func() error {
		theirs, err := t.owner.ask(worker.Order{Do: "ids"})
		if err != nil {
			return err
		}
		own, err := t.sender.ask(worker.Order{Do: "ids"})
		if err != nil {
			return err
		}
		if n := len(theirs.IDs) + len(own.IDs); n < conns {
			return fmt.Errorf("%d of %d clients are accepted", n, conns)
		}
		use = worker.Order{Do: "use", IDs: theirs.IDs, Own: own.IDs}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = t.sender.ask(use)
	return err
}

// servers are the processes whose time counts.
func (t *trial) servers() (all []*child) {
	for _, c := range []*child{t.sender, t.owner, t.server} {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

func (t *trial) stop() {
	for _, c := range []*child{t.sink, t.sender, t.owner, t.server} {
		if c != nil {
			c.kill()
		}
	}
}
