//go:build linux

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

// An Order is a line of JSON that the driver writes to a process.
type Order struct {
	Do   string        // ids, use, start, stop, wait, publish, allocs, profile
	IDs  []uint64      `json:",omitempty"` // use: where to send from now on
	Own  []uint64      `json:",omitempty"` // use: connections of this process
	Load Load          // start, wait, publish
	For  time.Duration // wait, publish: how long
	File string        // profile: begin to write one here; empty: end it
}

// An Answer is the line that comes back. Err is empty unless the order failed.
type Answer struct {
	Err      string
	IDs      []uint64      `json:",omitempty"` // ids: of the connections accepted, in order
	Sent     uint64        // stop, wait, publish: messages, one for each connection
	Calls    int           // publish: how often
	P50, P99 time.Duration // wait, publish: how long one took
	Mallocs  uint64        // allocs: allocations since the process began
}

// A Process carries out orders.
type Process struct {
	Sender Sender
	IDs    func() []uint64
	Board  *Board

	run     *run
	runs    uint32
	profile *os.File
}

// Obey carries out the orders of in until it ends, one at a time.
func (p *Process) Obey(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o Order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := p.do(ctx, o)
		if err != nil {
			a.Err = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

func (p *Process) do(ctx context.Context, o Order) (a Answer, err error) {
	switch o.Do {
	case "ids":
		a.IDs = p.IDs()
	case "use":
		err = p.Sender.Use(o.IDs, o.Own)
	case "start":
		p.start(o.Load)
	case "stop":
		a, err = p.stop()
	case "wait":
		a, err = p.wait(ctx, o.Load, o.For)
	case "publish":
		a, err = p.publish(o.Load, o.For)
	case "allocs":
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		a.Mallocs = m.Mallocs
	case "profile":
		err = p.profileTo(o.File)
	default:
		err = fmt.Errorf("no such order: %q", o.Do)
	}
	return a, err
}

func (p *Process) profileTo(name string) (err error) {
	if name == "" {
		pprof.StopCPUProfile()
		return p.profile.Close()
	}
	if p.profile, err = os.Create(name); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.profile)
}
