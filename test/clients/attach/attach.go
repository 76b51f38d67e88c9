// Package attach is a worker of a Flamingo node in Go, without a library: copy it and
// change it. docs/attach.md is the protocol; this speaks msgpack over TCP or a Unix socket.
package attach

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
)

// Types of events: the kinds of their frames.
const (
	Open   = 17
	Data   = 18
	Closed = 19
)

// An Event is what has happened to a connection.
type Event struct {
	Type          uint64
	Number, Again uint64
	ID            uint64
	Data          []byte // of Data; valid until the handler returns
	Local, Remote string // of Open
	Reason        string // of Closed
}

// A Worker is attached to a node. It is for one goroutine.
type Worker struct {
	in      *bufio.Reader
	out     *bufio.Writer
	body    []byte
	first   uint64 // of the events that are handled and not acknowledged yet
	count   uint64
	bytes   int // of actions
	actions []Action
	asked   uint64
	answers map[uint64]func(outcome uint64, body []byte)
}

// Run attaches, and calls handle for every event until the session ends: what it returns is
// done together with the acknowledgement, or not at all. Then somebody calls Run again.
func Run(ctx context.Context, network, address, name, token string, handle func(*Worker, Event) []Action) error {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	w := &Worker{in: bufio.NewReaderSize(nc, 1<<16), out: bufio.NewWriterSize(nc, 1<<16), answers: map[uint64]func(uint64, []byte){}}
	_, _ = w.out.WriteString("flatta/1") // an error stays until the flush
	w.frame(uints(text(text([]byte{0x97, 1, 1, 1}, token), name), 1000, 1<<20))
	if err := w.out.Flush(); err != nil {
		return err
	}
	if _, err := io.ReadFull(w.in, make([]byte, 8)); err != nil {
		return err
	}
	for {
		if w.in.Buffered() < 4 || w.count == 64 || w.bytes > 1<<20 {
			w.acknowledge()
			if err := w.out.Flush(); err != nil {
				return err
			}
		}
		if err := w.next(handle); err != nil {
			return err
		}
	}
}

// next reads a frame and handles it.
func (w *Worker) next(handle func(*Worker, Event) []Action) error {
	var n uint32
	if err := binary.Read(w.in, binary.BigEndian, &n); err != nil {
		return err
	}
	w.body = slices.Grow(w.body[:0], int(n))[:n]
	if _, err := io.ReadFull(w.in, w.body); err != nil {
		return err
	}
	d := decoder{w.body[1:]} // the kind says how many fields there are
	switch kind := d.uint(); kind {
	case Open, Data, Closed:
		e := Event{Type: kind, Number: d.uint(), Again: d.uint(), ID: d.uint()}
		switch kind {
		case Open:
			e.Local, e.Remote = string(d.bytes()), string(d.bytes())
		case Data:
			d.uint() // how it came over WebSocket
			e.Data = d.bytes()
		default:
			e.Reason = string(d.bytes())
		}
		actions := handle(w, e)
		if w.count == 0 {
			w.first = e.Number
		}
		w.count++
		for _, a := range actions {
			w.actions, w.bytes = append(w.actions, a), w.bytes+len(a)
		}
	case 6: // ping
		w.frame([]byte{0x91, 7})
	case 21:
		request, outcome := d.uint(), d.uint()
		if then := w.answers[request]; then != nil {
			delete(w.answers, request)
			then(outcome, d.bytes())
		}
	case 23:
		return fmt.Errorf("the node ends the session: %s: %s", d.bytes(), d.bytes())
	}
	return nil
}

// acknowledge says that the events handled so far are done, with what they have caused.
func (w *Worker) acknowledge() {
	if w.count > 0 {
		w.frame(list(uints([]byte{0x95, 2, 0}, w.first, w.first+w.count-1), w.actions))
	}
	w.count, w.bytes, w.actions = 0, 0, w.actions[:0]
}

// Do does actions that no event has caused.
func (w *Worker) Do(actions ...Action) { w.frame(list([]byte{0x93, 3, 0}, actions)) }

// Ask asks the node, and has then be called with the answer.
func (w *Worker) Ask(what, id uint64, name string, then func(outcome uint64, body []byte)) {
	w.asked++
	w.answers[w.asked] = then
	w.frame(append(text(uints([]byte{0x98, 4}, w.asked, what, id), name), 0, 0, 0xc4, 0))
}

func (w *Worker) frame(body []byte) {
	_, _ = w.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) // an error stays
	_, _ = w.out.Write(body)
}
