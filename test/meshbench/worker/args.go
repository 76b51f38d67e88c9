//go:build linux

package worker

import (
	"flag"
	"net"
)

// Args are the flags of a process under test.
type Args struct {
	Board   string // file that the processes of a design share
	Clients string // address where its clients connect
	Listen  string // its own address between the processes; empty: none
	Dial    string // where to connect to; empty: nowhere
	Sends   bool   // it is the sender
	Key     string // file of the key of the cluster; empty: clear text
}

// ParseArgs reads the flags of the process name.
func ParseArgs(name string, args []string) (a Args, err error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&a.Board, "board", "", "file that the processes of a design share")
	flags.StringVar(&a.Clients, "clients", "", "where clients connect")
	flags.StringVar(&a.Listen, "listen", "", "own address between the processes")
	flags.StringVar(&a.Dial, "dial", "", "where to connect to")
	flags.BoolVar(&a.Sends, "sends", false, "this is the sender")
	flags.StringVar(&a.Key, "key", "", "file of the key of the cluster")
	return a, flags.Parse(args)
}

// Gateway returns a process without a sender that accepts clients, for designs
// that have no node for them.
func (a Args) Gateway() (*Process, *Clients, error) {
	board, err := OpenBoard(a.Board)
	if err != nil {
		return nil, nil, err
	}
	ln, err := net.Listen("tcp", a.Clients)
	if err != nil {
		return nil, nil, err
	}
	accepted := &Clients{}
	go accepted.Accept(ln)
	return &Process{Board: board, IDs: accepted.IDs}, accepted, nil
}
