package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"flamingo/cluster"
	"flamingo/idspace"
	"flamingo/node"
)

// raftCommand shows raft, and mends what a stopped node has kept of it, for which
// it asks no node.
type raftCommand struct {
	Status        raftStatusCommand    `cmd:"" default:"withargs" group:"look" help:"The voters, and how far each is."`
	ForgetPromise forgetPromiseCommand `cmd:"" group:"mend" help:"Free a stopped node from its promise to a server that is lost for good."`
}

// forgetPromiseCommand does what no timeout may: see ADR 11.
type forgetPromiseCommand struct {
	Data string `required:"" env:"FLAMINGO_DATA" placeholder:"DIR" help:"Data directory of the node, which is stopped."`
	JSON bool   `short:"j" help:"Print JSON."`
}

// Help is the end of the help text.
func (*forgetPromiseCommand) Help() string {
	return `New nodes found a cluster when all of them have promised it to one, the proposer. If the proposer's ` +
		`data directory is lost meanwhile, those who have promised wait for it, and say so. Stop each of them, ` +
		`forget its promise, and start it again.

If the proposer does come back, there can be two clusters, which refuse each other: make sure that it does not.`
}

// promise is a promise as JSON has it.
type promise struct {
	Cluster  idspace.ClusterID  `json:"cluster"`
	Proposer idspace.ServerID   `json:"proposer"`
	Servers  []idspace.ServerID `json:"servers"`
}

// Run forgets, and prints what.
func (c *forgetPromiseCommand) Run(con *console) error {
	if c.Data == "" { // an empty variable
		return badUse("--data DIR is missing")
	}
	if err := node.CheckFormat(c.Data); err != nil { // before anything in there is read
		return err
	}
	held, err := cluster.ForgetPromise(c.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usageError{error: err}
	case err != nil:
		return err
	case c.JSON:
		return c.printJSON(con, held.IsZero(), promise(held))
	case held.IsZero():
		_, err = fmt.Fprintln(con.out, "no promise is held: nothing is forgotten")
		return err
	}
	fmt.Fprintf(con.out, "forgotten: the promise to found a cluster\ncluster   %s\nproposer  %s\n", held.Cluster, held.Proposer)
	for _, s := range held.Servers {
		fmt.Fprintf(con.out, "server    %s\n", s)
	}
	return nil
}

func (*forgetPromiseCommand) printJSON(con *console, none bool, p promise) error {
	forgotten := &p
	if none {
		forgotten = nil
	}
	body, err := json.Marshal(map[string]*promise{"forgotten": forgotten})
	if err != nil {
		return err
	}
	return printJSON(con.out, body)
}
