//go:build linux

// Command natsmesh is the job of meshbench over NATS: the sender publishes to a
// subject for each client, to a server in its own process; a route leads to the
// server of the owner, whose gateway subscribes and writes to the clients'
// sockets. test/meshbench starts both.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"flamingo/test/meshbench/worker"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "natsmesh:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("natsmesh", flag.ContinueOnError)
	boardName := flags.String("board", "", "file that the processes of a design share")
	clients := flags.String("clients", "", "where clients connect; empty: this process sends")
	route := flags.String("route", "", "the owner's address between servers")
	join := flags.String("join", "", "the same, for the sender")
	if err := flags.Parse(args); err != nil {
		return err
	}
	board, err := worker.OpenBoard(*boardName)
	if err != nil {
		return err
	}
	conn, err := open(*route, *join)
	if err != nil {
		return err
	}
	p := &worker.Process{Board: board, IDs: func() []uint64 { return nil }}
	if *clients == "" {
		p.Sender = &sender{conn: conn}
		return p.Obey(ctx, os.Stdin, os.Stdout)
	}
	ln, err := net.Listen("tcp", *clients)
	if err != nil {
		return err
	}
	accepted := worker.NewClients()
	go accepted.Accept(ln)
	p.IDs = accepted.IDs
	messages := make(chan *nats.Msg, 64<<10) // more than is ever under way
	if _, err := conn.ChanSubscribe(prefix+"*", messages); err != nil {
		return err
	}
	go func() { panic(serve(messages, worker.NewBuffers(accepted))) }()
	return p.Obey(ctx, os.Stdin, os.Stdout)
}

// open starts a server and connects to it over loopback, as programs do.
func open(route, join string) (*nats.Conn, error) {
	opts := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true,
		MaxPending: 256 << 20,
		Cluster:    server.ClusterOpts{Name: "meshbench", Host: "127.0.0.1", Port: server.RANDOM_PORT},
	}
	if route != "" {
		a, err := net.ResolveTCPAddr("tcp", route)
		if err != nil {
			return nil, err
		}
		opts.Cluster.Port = a.Port
	}
	if join != "" {
		opts.Routes = []*url.URL{{Scheme: "nats-route", Host: join}}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, fmt.Errorf("no server within 10 s")
	}
	return nats.Connect(s.ClientURL(), nats.MaxReconnects(0))
}

const prefix = "c."

// serve writes messages to the clients, those that wait at once.
func serve(messages <-chan *nats.Msg, out *worker.Buffers) error {
	var waiting []*nats.Msg
	for m := range messages {
		id, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, prefix), 10, 64)
		if err != nil {
			return err
		}
		full := out.Put(id, m.Data)
		if m.Reply != "" {
			waiting = append(waiting, m)
		}
		if len(messages) > 0 && !full {
			continue
		}
		if err := out.Flush(); err != nil {
			return err
		}
		for _, m := range waiting {
			if err := m.Respond(nil); err != nil {
				return err
			}
		}
		waiting = waiting[:0]
	}
	return nil
}

// A sender publishes.
type sender struct {
	conn     *nats.Conn
	subjects []string
	err      error // of Use
}

// Use implements worker.Sender. It waits until a subscription is known here.
func (s *sender) Use(ids []uint64) {
	s.subjects = nil
	for _, id := range ids {
		s.subjects = append(s.subjects, prefix+strconv.FormatUint(id, 10))
	}
	end := time.Now().Add(10 * time.Second)
	for tick := time.Tick(50 * time.Millisecond); time.Now().Before(end); <-tick {
		if _, s.err = s.conn.Request(s.subjects[0], nil, time.Second); s.err == nil {
			return
		}
	}
}

// Data implements worker.Sender.
func (s *sender) Data(to int, msg []byte) error { return s.conn.Publish(s.subjects[to], msg) }

// Many implements worker.Sender.
func (s *sender) Many(n int, msg []byte) error {
	for to := range n {
		if err := s.Data(to, msg); err != nil {
			return err
		}
	}
	return nil
}

// Wait implements worker.Sender.
func (s *sender) Wait(ctx context.Context, to int, msg []byte) error {
	if s.err != nil {
		return s.err
	}
	_, err := s.conn.RequestWithContext(ctx, s.subjects[to], msg)
	return err
}
