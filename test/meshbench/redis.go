//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"flamingo/test/meshbench/worker"
)

// Channels of Redis. A message for a client goes to "c.CLIENT", or to
// "c.CLIENT.TICKET" if the ticket is to be published once it is written.
const (
	clientChannel = "c."
	allChannel    = "all"
	backChannel   = "back"
)

// A redisEnd is a process with a stream to a Redis server in each direction:
// one publishes, one is subscribed.
type redisEnd struct {
	publish  *batch
	messages respReader
	out      *worker.Buffers
	ids      []uint64
	channels [][]byte
	tickets  tickets
}

var _ worker.Sender = (*redisEnd)(nil)

// openRedis connects to the server at a.Dial.
func openRedis(ctx context.Context, a worker.Args) (*worker.Process, error) {
	p, clients, err := a.Gateway()
	if err != nil {
		return nil, err
	}
	var streams [2]net.Conn
	for i := range streams {
		err := within(ctx, 10*time.Second, func() (err error) {
			streams[i], err = net.Dial("tcp", a.Dial)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	e := &redisEnd{publish: newBatch(streams[0]), out: worker.NewBuffers(clients)}
	if e.messages.in, err = newInput(streams[1]); err != nil {
		return nil, err
	}
	subscribe := appendCommand(nil, []byte("SUBSCRIBE"), []byte(allChannel), []byte(backChannel))
	if !a.Sends {
		subscribe = appendCommand(subscribe, []byte("PSUBSCRIBE"), []byte(clientChannel+"*"))
	}
	if _, err := streams[1].Write(subscribe); err != nil {
		return nil, err
	}
	go e.publish.write()
	go io.Copy(io.Discard, streams[0]) //nolint:errcheck // how many got it, for each
	go func() { panic(fmt.Sprintf("meshbench: redis: %v", e.serve())) }()
	p.Sender = e
	return p, nil
}

// serve collects messages for each client as long as input waits.
func (e *redisEnd) serve() error {
	var back [][]byte
	for {
		m, err := e.messages.next()
		if err != nil {
			return err
		}
		full, ticket := e.take(m)
		if ticket != nil {
			back = append(back, ticket)
		}
		if !full && e.messages.in.waits(1) {
			continue
		}
		if err := e.out.Flush(); err != nil {
			return err
		}
		for _, t := range back {
			if err := e.send([]byte(backChannel), t); err != nil {
				return err
			}
		}
		back = back[:0]
	}
}

// take puts one message where it belongs, and returns the ticket that is to be
// given back for it.
func (e *redisEnd) take(m [][]byte) (full bool, ticket []byte) {
	switch kind := string(m[0]); {
	case kind == "pmessage":
		client, rest, waits := strings.Cut(string(m[2][len(clientChannel):]), ".")
		id, err := strconv.ParseUint(client, 10, 64)
		if err != nil {
			panic(err)
		}
		if waits {
			ticket = []byte(rest)
		}
		return e.out.Put(id, m[3]), ticket
	case kind == "message" && string(m[1]) == allChannel:
		return e.out.PutAll(m[2]), nil
	case kind == "message":
		n, err := strconv.ParseUint(string(m[2]), 10, 32)
		if err != nil {
			panic(err)
		}
		e.tickets.give(uint32(n))
	}
	return false, nil // the answer to a subscription
}

func (e *redisEnd) send(channel, msg []byte) error {
	return e.publish.add(func(b []byte) []byte { return appendCommand(b, []byte("PUBLISH"), channel, msg) })
}

// Use implements worker.Sender. The gateway has been subscribed for a while, or
// is soon: a message to nobody is lost, so it waits for one to come through.
func (e *redisEnd) Use(ids, _ []uint64) error {
	e.ids, e.channels = ids, nil
	for _, id := range ids {
		e.channels = append(e.channels, strconv.AppendUint([]byte(clientChannel), id, 10))
	}
	return within(context.Background(), 10*time.Second, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return e.Wait(ctx, 0, nil)
	})
}

// Data implements worker.Sender.
func (e *redisEnd) Data(to int, msg []byte) error { return e.send(e.channels[to], msg) }

// Publish implements worker.Sender.
func (e *redisEnd) Publish(msg []byte) error { return e.send([]byte(allChannel), msg) }

// Wait implements worker.Sender.
func (e *redisEnd) Wait(ctx context.Context, to int, msg []byte) error {
	ticket, back := e.tickets.take()
	channel := append(slices.Clone(e.channels[to]), '.')
	channel = strconv.AppendUint(channel, uint64(ticket), 10)
	if err := e.send(channel, msg); err != nil {
		return err
	}
	return await(ctx, back)
}
