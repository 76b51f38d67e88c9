package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"flamingo/framing"
	"flamingo/idspace"
	"flamingo/transport"
)

// heap returns the bytes of live objects.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// openOne runs a transport with one client that does not read, and blocks its
// socket.
func openOne(t *testing.T, codec framing.Codec, slow transport.SlowPolicy) (*transport.Transport, idspace.ID) {
	t.Helper()
	tr, err := transport.New(transport.Config{
		Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0", Codec: codec, WriteBuffer: 16 << 10}},
		IDs:       new(countingIDs), Slow: slow, OutputBytes: 1 << 20, Ignore: transport.IgnoreCloses,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tr.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	nc, err := net.Dial("tcp", tr.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c, _ := tr.RecvOpen()
	return tr, c.ID()
}

type countingIDs struct{ last idspace.ID }

func (c *countingIDs) Next() (idspace.ID, error) {
	c.last++
	return 1<<idspace.SerialBits | c.last, nil
}

func rawCodec(t *testing.T) framing.Codec {
	t.Helper()
	codec, err := framing.Raw(0)
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func TestOutputOfASlowClientTakesLittleMoreMemoryThanItsBound(t *testing.T) {
	tr, id := openOne(t, rawCodec(t), transport.SlowFailSender)
	before := heap()
	shared, short := make([]byte, 513), make([]byte, 10)
	for n := 0; ; n++ {
		results := make([]error, 1)
		tr.SendMany([]idspace.ID{id}, shared, results)
		if err := tr.SendData(id, short); err != nil || results[0] != nil {
			break
		}
		if n > 1<<20 {
			t.Fatal("the output has no bound")
		}
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("1 MiB of output takes %d KiB of memory", grown>>10)
	}
	runtime.KeepAlive(tr)
}

func TestRefusedMessagesHoldNoMemory(t *testing.T) {
	line, err := framing.Line(framing.LineConfig{})
	if err != nil {
		t.Fatal(err)
	}
	tr, id := openOne(t, line, transport.SlowFailSender)
	before := heap()
	if err := tr.SendData(id, make([]byte, 64<<20)); !errors.Is(err, framing.ErrTooLarge) {
		t.Fatalf("a message over the limit: %v", err)
	}
	for tr.SendData(id, make([]byte, 1000)) == nil {
	}
	for size := range 300 {
		if err := tr.SendData(id, make([]byte, (300+size)<<10)); !errors.Is(err, transport.ErrBackpressure) {
			t.Fatalf("a message to a full queue: %v", err)
		}
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("refused messages hold %d KiB", grown>>10)
	}
	runtime.KeepAlive(tr)
}

func TestEmptyMessagesTakeNoMemory(t *testing.T) {
	tr, id := openOne(t, rawCodec(t), transport.SlowFailSender)
	for tr.SendData(id, make([]byte, 1000)) == nil {
	}
	before := heap()
	for range 1 << 20 {
		if err := tr.SendData(id, nil); err != nil {
			t.Fatal(err)
		}
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("empty messages hold %d KiB", grown>>10)
	}
}

func TestLingerOfZeroResetsTheClient(t *testing.T) {
	for _, portable := range []bool{false, true} {
		tr, err := transport.New(transport.Config{
			Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0", Codec: rawCodec(t)}},
			IDs:       new(countingIDs), Portable: portable, Ignore: transport.IgnoreCloses,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- tr.Run(ctx) }()
		nc, err := net.Dial("tcp", tr.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		c, _ := tr.RecvOpen()
		if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("portable %v: the client reads %v, want a reset", portable, err)
		}
		nc.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
