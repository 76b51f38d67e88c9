//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"flamingo/test/meshbench/worker"
)

// The limit is one TCP stream of frames: nothing is acknowledged, nothing sent
// again, no id checked, and both ends put all that waits into one write.
//
// A frame is its length, the number of the client (0: all), a number that is
// sent back once the message is written (0: nobody waits), and the message.
// Integers have 4 bytes, big-endian. The length does not count itself.
const (
	frameHead = 12
	frameRoom = 1 << 20
)

// openLink opens one end of it.
func openLink(ctx context.Context, a worker.Args) (*worker.Process, error) {
	p, clients, err := a.Gateway()
	if err != nil {
		return nil, err
	}
	if a.Sends {
		p.Sender, err = dialLink(ctx, a.Dial, clients)
		return p, err
	}
	ln, err := net.Listen("tcp", a.Listen)
	if err != nil {
		return nil, err
	}
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			o := linkOwner{conn: conn, out: worker.NewBuffers(clients)}
			err = o.serve()
		}
		if !errors.Is(err, io.EOF) {
			panic(fmt.Sprintf("meshbench: link: %v", err))
		}
	}()
	return p, nil
}

// A linkOwner writes what comes over the link to the clients.
type linkOwner struct {
	conn net.Conn
	in   *input
	out  *worker.Buffers
	msg  []byte
}

// next returns the next frame, which is valid until the next call.
func (o *linkOwner) next() (client, ticket uint32, msg []byte, err error) {
	head, err := o.in.Peek(frameHead)
	if err != nil {
		return 0, 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(head)) - (frameHead - 4)
	client, ticket = binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	if n < 0 || n > frameRoom {
		return 0, 0, nil, fmt.Errorf("frame of %d bytes", n)
	}
	_, _ = o.in.Discard(frameHead) // it is in the buffer
	if cap(o.msg) < n {
		o.msg = make([]byte, n)
	}
	o.msg = o.msg[:n]
	_, err = io.ReadFull(o.in, o.msg)
	return client, ticket, o.msg, err
}

// serve collects messages for each client as long as input waits.
func (o *linkOwner) serve() (err error) {
	if o.in, err = newInput(o.conn); err != nil {
		return err
	}
	var answers []byte
	for {
		client, ticket, msg, err := o.next()
		if err != nil {
			return err
		}
		full := false
		if client == 0 {
			full = o.out.PutAll(msg)
		} else {
			full = o.out.Put(uint64(client), msg)
		}
		if ticket != 0 {
			answers = binary.BigEndian.AppendUint32(answers, ticket)
		}
		if !full && o.in.waits(frameHead) {
			continue
		}
		if err := o.out.Flush(); err != nil {
			return err
		}
		if len(answers) > 0 {
			if _, err := o.conn.Write(answers); err != nil {
				return err
			}
			answers = answers[:0]
		}
	}
}

// A linkSender is the other end.
type linkSender struct {
	batch   *batch
	tickets tickets
	ids     []uint64
	own     *worker.Buffers // used by Publish alone
}

var _ worker.Sender = (*linkSender)(nil)

func dialLink(ctx context.Context, addr string, own *worker.Clients) (*linkSender, error) {
	var conn net.Conn
	err := within(ctx, 10*time.Second, func() (err error) {
		conn, err = net.Dial("tcp", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &linkSender{batch: newBatch(conn), own: worker.NewBuffers(own)}
	go s.readAnswers()
	go s.batch.write()
	return s, nil
}

// Use implements worker.Sender.
func (s *linkSender) Use(ids, _ []uint64) error {
	s.ids = ids
	return nil
}

// Data implements worker.Sender.
func (s *linkSender) Data(to int, msg []byte) error { return s.send(uint32(s.ids[to]), 0, msg) }

// Publish implements worker.Sender.
func (s *linkSender) Publish(msg []byte) error {
	if err := s.send(0, 0, msg); err != nil {
		return err
	}
	s.own.PutAll(msg)
	return s.own.Flush()
}

// Wait implements worker.Sender.
func (s *linkSender) Wait(ctx context.Context, to int, msg []byte) error {
	ticket, back := s.tickets.take()
	if err := s.send(uint32(s.ids[to]), ticket, msg); err != nil {
		return err
	}
	return await(ctx, back)
}

func (s *linkSender) send(client, ticket uint32, msg []byte) error {
	return s.batch.add(func(b []byte) []byte {
		b = binary.BigEndian.AppendUint32(b, uint32(len(msg)+frameHead-4))
		b = binary.BigEndian.AppendUint32(b, client)
		b = binary.BigEndian.AppendUint32(b, ticket)
		return append(b, msg...)
	})
}

func (s *linkSender) readAnswers() {
	in := bufio.NewReader(s.batch.conn)
	var answer [4]byte
	for {
		if _, err := io.ReadFull(in, answer[:]); err != nil {
			return
		}
		s.tickets.give(binary.BigEndian.Uint32(answer[:]))
	}
}
