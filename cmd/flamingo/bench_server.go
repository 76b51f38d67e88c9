package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/node"
)

// benchServerCommand is a node that sends messages back, in a process of its own
// under a load that its parent puts on. It is spoken to in lines: it says where
// it listens, answers each number of connections with its figures once it has so
// many, and ends with its input.
type benchServerCommand struct {
	Listen string `required:"" help:"Where clients connect."`
}

// serverFigures are what a server has in use, and what its collector costs.
type serverFigures struct {
	// Memory is heap, stacks and what the runtime keeps of them, in bytes.
	Memory int64 `json:"memory_bytes"`

	// Objects is how many objects the heap has.
	Objects int64 `json:"objects"`

	// Collection is how long a full garbage collection takes, and Pauses how
	// much of that everything stands still: the middle of some. Fastest is the
	// shortest of them, for a machine that has other work. Nanoseconds.
	Collection time.Duration `json:"collection_ns"`
	Fastest    time.Duration `json:"fastest_ns"`
	Pauses     time.Duration `json:"pauses_ns"`
}

// Run serves until the input ends or ctx is done.
func (c *benchServerCommand) Run(ctx context.Context, con *console) error {
	n, err := node.OpenContext(ctx, node.Opts{
		Listen: []string{c.Listen}, Framing: "line", Ignore: node.IgnoreCloses,
		Logger: newLogger(con.talk, slog.LevelError, "text"),
	})
	if err != nil {
		return err
	}
	s := &benchServer{node: n}
	var serving sync.WaitGroup
	serving.Go(func() {
		for range n.Opens() {
			s.opens.Add(1)
		}
	})
	for range 2 * runtime.GOMAXPROCS(0) {
		serving.Go(func() {
			for id, msg := range n.Messages() {
				_ = n.SendData(id, msg) // the client misses it
			}
		})
	}
	if in, ok := con.in.(io.Closer); ok {
		defer context.AfterFunc(ctx, func() { in.Close() })()
	}
	err = s.obey(ctx, con)
	ended, end := context.WithCancel(ctx)
	end()
	_ = n.Close(ended) // at once: clients are not waited for
	serving.Wait()
	return err
}

// A benchServer is the node and what it has seen.
type benchServer struct {
	node  *node.Node
	opens atomic.Int64
}

// obey answers the input.
func (s *benchServer) obey(ctx context.Context, con *console) error {
	fmt.Fprintln(con.out, "listening", s.node.Addrs()[0])
	for lines := bufio.NewScanner(con.in); lines.Scan(); {
		var conns int
		if _, err := fmt.Sscan(lines.Text(), &conns); err != nil {
			return badUse("%q: want a number of connections", lines.Text())
		}
		if err := s.settle(ctx, conns); err != nil {
			return err
		}
		var figures serverFigures
		figures.Memory, figures.Objects = memoryInUse()
		figures.collect()
		if err := json.NewEncoder(con.out).Encode(figures); err != nil {
			return err
		}
	}
	return nil
}

// settleWithin bounds the wait for connections that clients have opened.
const settleWithin = 10 * time.Second

// settle waits until so many connections are open, their opens are handled and
// so are their messages.
func (s *benchServer) settle(ctx context.Context, conns int) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	return await(ctx, func() error {
		st := s.node.Stats()
		if opens := int(s.opens.Load()); st.Connections != conns || opens != conns || st.QueuedBytes > 0 {
			return fmt.Errorf("%d connections of %d, %d taken, %d bytes queued", st.Connections, conns, opens, st.QueuedBytes)
		}
		return nil
	})
}

// memoryInUse is the memory of this process for what it holds, after a
// collection: the spans of the heap that hold objects, with the room in them
// that is free; stacks; and the runtime's records of these spans. objects is how
// many the heap has.
func memoryInUse() (bytes, objects int64) {
	runtime.GC() // which begins to empty the pools
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse + m.MSpanInuse), int64(m.HeapObjects)
}

// collectionsMade is how many collections the figures are of.
const collectionsMade = 21

// collect makes full collections and fills in what they took. The pauses of one
// are counted together.
func (f *serverFigures) collect() {
	var took, pauses []time.Duration
	var m runtime.MemStats
	for range collectionsMade {
		runtime.ReadMemStats(&m)
		before := m.PauseTotalNs
		start := time.Now()
		runtime.GC()
		took = append(took, time.Since(start))
		runtime.ReadMemStats(&m)
		pauses = append(pauses, time.Duration(m.PauseTotalNs-before))
	}
	slices.Sort(took)
	slices.Sort(pauses)
	f.Collection, f.Fastest, f.Pauses = took[collectionsMade/2], took[0], pauses[collectionsMade/2]
}
