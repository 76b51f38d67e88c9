// Command flamingo is the fabric as one binary: a node, a local cluster, a
// client of either, and the tools to look at them.
package main

import (
	"context"
	"io"
	"os"
)

// commands is the command line: its fields are the commands, and their fields
// the flags.
type commands struct {
	Demo demoCommand `cmd:"" group:"start" help:"A tour of a few seconds, checked line by line, that ends by itself."`
	Dev  devCommand  `cmd:"" group:"start" help:"A local cluster in this process, until ^C."`
	Run  runCommand  `cmd:"" group:"start" help:"One node."`

	Connect connectCommand `cmd:"" group:"talk" help:"Be a client: print the id of the connection, then what comes; send lines."`
	Send    sendCommand    `cmd:"" group:"talk" help:"Send a message to a connection of any node."`
	Close   closeCommand   `cmd:"" group:"talk" help:"Close connections of any node."`
	Publish publishCommand `cmd:"" group:"talk" help:"Send a message to a group, on all nodes."`
	ID      idCommand      `cmd:"" name:"id" group:"talk" help:"Take an id apart; needs no node."`

	Status  statusCommand  `cmd:"" group:"look" help:"The cluster on one screen, what is wrong first."`
	Check   checkCommand   `cmd:"" group:"look" help:"Whether all is well, for monitors and scripts."`
	Top     topCommand     `cmd:"" group:"look" help:"The cluster, live."`
	Events  eventsCommand  `cmd:"" group:"look" help:"Follow what becomes of the nodes: who joins, leaves, drains, leads."`
	RTT     rttCommand     `cmd:"" name:"rtt" group:"look" help:"Round trips between the nodes."`
	Nodes   nodesCommand   `cmd:"" group:"look" help:"The nodes of the cluster."`
	Conns   connsCommand   `cmd:"" group:"look" help:"The connections of a node, or one of any node."`
	Groups  groupsCommand  `cmd:"" group:"look" help:"Groups of connections: which there are, who is in one, join, leave, close."`
	Version versionCommand `cmd:"" group:"look" help:"The version of this program."`

	Drain drainCommand `cmd:"" group:"mend" help:"Take a node out of service: its connections end one after the other, then it leaves and ends."`
	Raft  raftCommand  `cmd:"" group:"mend" help:"The voters; and what a stopped node has kept of raft."`

	Config configCommand `cmd:"" group:"configure" help:"The settings of a node."`

	Completion completionCommand `cmd:"" group:"configure" help:"Have a shell complete commands and flags."`

	Keygen keygenCommand `cmd:"" group:"secure" help:"Make the key that all nodes of a cluster share."`
	TLS    tlsCommand    `cmd:"" name:"tls" group:"secure" help:"Make certificates for nodes."`

	Bench benchCommand `cmd:"" help:"Put load on a server that sends lines back, and check every reply."`
}

func main() {
	ctx := untilSignal(context.Background(), os.Stderr)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	os.Exit(exitCode(err, os.Stderr))
}

// run parses args and runs the command they name until it is done, or ctx is.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return runIn(ctx, args, newConsole(os.Stdin, stdout, stderr))
}
