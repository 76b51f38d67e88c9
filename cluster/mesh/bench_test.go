package mesh_test

import (
	"context"
	"sync"
	"testing"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// nowhere takes messages and keeps their number alone. One lane delivers.
type nowhere struct {
	*node
	taken *int
}

func (w nowhere) Deliver(idspace.ID, mesh.Kind, []byte) error {
	*w.taken++
	return nil
}

func benchRig(b testing.TB) (from *node, to *mesh.Peer, taken *int) {
	taken = new(int)
	r := newRig(b, 2)
	r.loopback()
	r.config = func(c *mesh.Config) { c.Owner = nowhere{c.Owner.(*node), taken} }
	r.run()
	return r.node(1), r.node(1).To(r.node(2).boot), taken
}

// BenchmarkSendData sends 64 bytes to many ids over one lane of loopback TCP,
// and waits for the last acknowledgement.
func BenchmarkSendData(b *testing.B) {
	from, to, taken := benchRig(b)
	msg := make([]byte, 64)
	ids := make([]idspace.ID, 1024)
	for i := range ids {
		ids[i] = idOf(2, i+1)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := to.SendData(ids[i&1023], mesh.KindDefault, msg); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if err := from.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	if *taken != i {
		b.Errorf("%d messages taken, want %d", *taken, i)
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkSendDataEightSenders(b *testing.B) {
	from, to, taken := benchRig(b)
	msg := make([]byte, 64)
	b.ReportAllocs()
	var wg sync.WaitGroup
	const senders = 8
	const per = 1000
	rounds := 0
	for b.Loop() { // one iteration is 8,000 messages
		for s := range senders {
			wg.Go(func() {
				for i := range per {
					if err := to.SendData(idOf(2, s*per+i+1), mesh.KindDefault, msg); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		rounds++
	}
	if err := from.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	if want := rounds * per * senders; *taken != want {
		b.Errorf("%d messages taken, want %d", *taken, want)
	}
	b.ReportMetric(float64(rounds*per*senders)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkEncodeData(b *testing.B) {
	e := mesh.NewWireEncoder()
	f := mesh.Wire{Kind: 1, Ints: [7]uint64{1 << 40, uint64(idOf(2, 7))}, Payload: make([]byte, 64)}
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		e.Encode(f)
	}
}

func BenchmarkDecodeData(b *testing.B) {
	e := mesh.NewWireEncoder()
	e.Encode(mesh.Wire{Kind: 1, Ints: [7]uint64{1 << 40, uint64(idOf(2, 7))}, Payload: make([]byte, 64)})
	d := mesh.NewWireDecoder()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(e.Bytes()[4:]); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSendDataDoesNotAllocate covers both ends: the sender, the reader, the
// acknowledgements.
func TestSendDataDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	from, to, _ := benchRig(t)
	msg := make([]byte, 64)
	send := func(n int) {
		for range n {
			if err := to.SendData(idOf(2, 1), mesh.KindDefault, msg); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, from)
	}
	send(300_000) // rings and buffers take their sizes
	const n = 100_000
	if got := testing.AllocsPerRun(3, func() { send(n) }) / n; got > 0.01 {
		t.Errorf("a message costs %v allocations, want none", got)
	}
}
