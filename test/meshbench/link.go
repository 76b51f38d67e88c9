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
	"sync"
	"time"

	"flamingo/test/meshbench/worker"
)

// A frame of the plain link is its length, the number of the client, a number
// that is sent back once the message is written (0: nobody waits), and the
// message. Integers have 4 bytes, big-endian. The length does not count itself.
const (
	frameHead = 12
	frameRoom = 1 << 20
)

// openLink opens one end of a plain link.
func openLink(ctx context.Context, p *worker.Process, clients, between string, batched bool) error {
	if clients == "" {
		return openLinkSender(ctx, p, between, batched)
	}
	ln, err := net.Listen("tcp", between)
	if err != nil {
		return err
	}
	clientLn, err := net.Listen("tcp", clients)
	if err != nil {
		return err
	}
	accepted := worker.NewClients()
	go accepted.Accept(clientLn)
	p.IDs = accepted.IDs
	go func() {
		c, err := ln.Accept()
		if err == nil {
			o := linkOwner{conn: c, in: bufio.NewReaderSize(c, frameRoom), clients: accepted}
			if batched {
				err = o.serveBatched()
			} else {
				err = o.serve()
			}
		}
		if !errors.Is(err, io.EOF) {
			panic(fmt.Sprintf("meshbench: link: %v", err))
		}
	}()
	return nil
}

// A linkOwner writes what comes over the link to the clients.
type linkOwner struct {
	conn    net.Conn
	in      *bufio.Reader
	clients *worker.Clients
	frame   []byte
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
	if cap(o.frame) < n {
		o.frame = make([]byte, n)
	}
	o.frame = o.frame[:n]
	_, err = io.ReadFull(o.in, o.frame)
	return client, ticket, o.frame, err
}

// serve writes each message by itself.
func (o *linkOwner) serve() error {
	var answer [4]byte
	for {
		client, ticket, msg, err := o.next()
		if err != nil {
			return err
		}
		if _, err := o.clients.Get(uint64(client)).Write(msg); err != nil {
			return err
		}
		if ticket == 0 {
			continue
		}
		binary.BigEndian.PutUint32(answer[:], ticket)
		if _, err := o.conn.Write(answer[:]); err != nil {
			return err
		}
	}
}

// serveBatched collects messages for each client as long as input waits.
func (o *linkOwner) serveBatched() error {
	out := worker.NewBuffers(o.clients)
	var answers []byte
	for {
		client, ticket, msg, err := o.next()
		if err != nil {
			return err
		}
		full := out.Put(uint64(client), msg)
		if ticket != 0 {
			answers = binary.BigEndian.AppendUint32(answers, ticket)
		}
		if o.in.Buffered() >= frameHead && !full {
			continue
		}
		if err := out.Flush(); err != nil {
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
	conn    net.Conn
	batched bool
	ids     []uint64

	mu      sync.Mutex
	more    sync.Cond
	room    sync.Cond
	pending []byte // guarded by mu: what waits for the writer, if batched
	spare   []byte // guarded by mu
	err     error  // guarded by mu: of the writer
	last    uint32 // guarded by mu
	waiting map[uint32]chan struct{}
}

func openLinkSender(ctx context.Context, p *worker.Process, between string, batched bool) error {
	var c net.Conn
	err := within(ctx, 10*time.Second, func() (err error) {
		c, err = net.Dial("tcp", between)
		return err
	})
	if err != nil {
		return err
	}
	s := &linkSender{conn: c, batched: batched, waiting: make(map[uint32]chan struct{})}
	s.more.L, s.room.L = &s.mu, &s.mu
	go s.readAnswers()
	if batched {
		go s.write()
	}
	p.Sender = s
	p.IDs = func() []uint64 { return nil }
	return nil
}

// Use implements worker.Sender.
func (s *linkSender) Use(ids []uint64) { s.ids = ids }

// Data implements worker.Sender.
func (s *linkSender) Data(to int, msg []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sendLocked(uint32(s.ids[to]), 0, msg)
}

// Many implements worker.Sender.
func (s *linkSender) Many(n int, msg []byte) error {
	for to := range n {
		if err := s.Data(to, msg); err != nil {
			return err
		}
	}
	return nil
}

// Wait implements worker.Sender.
func (s *linkSender) Wait(ctx context.Context, to int, msg []byte) error {
	written := make(chan struct{})
	s.mu.Lock()
	s.last++
	s.waiting[s.last] = written
	err := s.sendLocked(uint32(s.ids[to]), s.last, msg)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pendingBytes bounds what waits for the writer.
const pendingBytes = 4 << 20

func (s *linkSender) sendLocked(client, ticket uint32, msg []byte) error {
	for s.batched && len(s.pending) > pendingBytes && s.err == nil {
		s.room.Wait()
	}
	if s.err != nil {
		return s.err
	}
	b := s.pending
	if !s.batched {
		b = b[:0]
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(msg)+frameHead-4))
	b = binary.BigEndian.AppendUint32(b, client)
	b = binary.BigEndian.AppendUint32(b, ticket)
	s.pending = append(b, msg...)
	if s.batched {
		s.more.Signal()
		return nil
	}
	_, err := s.conn.Write(s.pending)
	return err
}

// write writes all that waits at a time.
func (s *linkSender) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil {
		for len(s.pending) == 0 {
			s.more.Wait()
		}
		b := s.pending
		s.pending, s.spare = s.spare, nil
		s.room.Broadcast()
		s.mu.Unlock()
		_, err := s.conn.Write(b)
		s.mu.Lock()
		s.spare, s.err = b[:0], err
	}
}

func (s *linkSender) readAnswers() {
	in := bufio.NewReader(s.conn)
	var answer [4]byte
	for {
		if _, err := io.ReadFull(in, answer[:]); err != nil {
			return
		}
		ticket := binary.BigEndian.Uint32(answer[:])
		s.mu.Lock()
		written := s.waiting[ticket]
		delete(s.waiting, ticket)
		s.mu.Unlock()
		close(written)
	}
}
