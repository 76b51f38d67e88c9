//go:build linux

// Command natsmesh is the job of meshbench over NATS: the sender publishes to a
// subject for each client, to a server in its own process; a route leads to the
// server of the owner, whose gateway subscribes and writes to the clients'
// sockets. test/meshbench starts both.
package main

import (
	"context"
	"errors"
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
	a, err := worker.ParseArgs("natsmesh", args)
	if err != nil {
		return err
	}
	conn, err := open(a.Listen, a.Dial)
	if err != nil {
		return err
	}
	p, clients, err := a.Gateway()
	if err != nil {
		return err
	}
	p.Sender = &sender{conn: conn}
	messages := make(chan *nats.Msg, 64<<10) // more than is ever under way
	subjects := []string{all}
	if !a.Sends {
		subjects = append(subjects, prefix+"*")
	}
	for _, subject := range subjects {
		if _, err := conn.ChanSubscribe(subject, messages); err != nil {
			return err
		}
	}
	go func() { panic(serve(messages, worker.NewBuffers(clients))) }()
	return p.Obey(ctx, os.Stdin, os.Stdout)
}

// open starts a server and connects to it over loopback, as programs do.
func open(listen, dial string) (*nats.Conn, error) {
	route, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true,
		MaxPending: 256 << 20,
		Cluster:    server.ClusterOpts{Name: "meshbench", Host: "127.0.0.1", Port: route.Port},
	}
	if dial != "" {
		opts.Routes = []*url.URL{{Scheme: "nats-route", Host: dial}}
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

// Subjects: of one client, and of all.
const (
	prefix = "c."
	all    = "all"
)

// serve writes messages to the clients, those that wait at once.
func serve(messages <-chan *nats.Msg, out *worker.Buffers) error {
	var waiting []*nats.Msg
	for m := range messages {
		full, err := put(m, out)
		if err != nil {
			return err
		}
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

func put(m *nats.Msg, out *worker.Buffers) (full bool, err error) {
	if m.Subject == all {
		return out.PutAll(m.Data), nil
	}
	id, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, prefix), 10, 64)
	if err != nil {
		return false, err
	}
	return out.Put(id, m.Data), nil
}

// A sender publishes.
type sender struct {
	conn     *nats.Conn
	subjects []string
}

// Use implements worker.Sender. It waits until a subscription is known here.
func (s *sender) Use(ids, _ []uint64) (err error) {
	s.subjects = nil
	for _, id := range ids {
		s.subjects = append(s.subjects, prefix+strconv.FormatUint(id, 10))
	}
	end := time.Now().Add(10 * time.Second)
	for tick := time.Tick(50 * time.Millisecond); time.Now().Before(end); <-tick {
		if _, err = s.conn.Request(s.subjects[0], nil, time.Second); err == nil {
			return nil
		}
	}
	return errors.Join(errors.New("no gateway answers"), err)
}

// Data implements worker.Sender.
func (s *sender) Data(to int, msg []byte) error { return s.conn.Publish(s.subjects[to], msg) }

// Publish implements worker.Sender.
func (s *sender) Publish(msg []byte) error { return s.conn.Publish(all, msg) }

// Wait implements worker.Sender.
func (s *sender) Wait(ctx context.Context, to int, msg []byte) error {
	_, err := s.conn.RequestWithContext(ctx, s.subjects[to], msg)
	return err
}
