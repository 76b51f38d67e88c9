package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"flamingo/idspace"
	"flamingo/transport"

	"pgregory.net/rapid"
)

func TestInboxIsAQueueThatCountsItsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1000, 100_000).Draw(t, "limit")
		q := transport.NewInbox(limit)
		var queued, taken []transport.Message
		serial := 0
		cost := func() (n int64) {
			for _, m := range append(queued[:len(queued):len(queued)], taken...) {
				n += int64(len(m.Data)) + transport.MessageOverhead
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				var batch []transport.Message
				for range rapid.IntRange(1, 700).Draw(t, "messages") {
					serial++
					data := bytes.Repeat([]byte{byte(serial)}, serial%50)
					batch = append(batch, transport.Message{ID: idspace.ID(1 + serial/5), Data: data})
				}
				if !q.Put(batch) {
					t.Fatal("an open inbox refused a batch")
				}
				queued = append(queued, batch...)
			},
			"take": func(t *rapid.T) {
				into := make([]transport.Message, rapid.IntRange(1, 1500).Draw(t, "at most"))
				n := q.TryTake(into)
				if n != min(len(into), len(queued)) {
					t.Fatalf("took %d of %d into %d", n, len(queued), len(into))
				}
				for k, m := range into[:n] {
					if want := queued[k]; m.ID != want.ID || !bytes.Equal(m.Data, want.Data) || cap(m.Data) != len(m.Data) {
						t.Fatalf("took %v %v of capacity %d; want %v %v of its length", m.ID, m.Data, cap(m.Data), want.ID, want.Data)
					}
				}
				taken, queued = append(taken, into[:n]...), queued[n:]
			},
			"done": func(t *rapid.T) {
				n := rapid.IntRange(0, len(taken)).Draw(t, "messages")
				before, starved := q.Rooms, rapid.Bool().Draw(t, "starved") && q.Starve()
				for k := range taken[:n] {
					q.Forget(&taken[k])
				}
				taken = taken[n:]
				// From a full inbox somebody is told, once, when half is free.
				if told := q.Rooms - before; starved && told != btoi(cost() < limit/2) {
					t.Fatalf("told of room %d times with %d of %d used", told, cost(), limit)
				}
			},
			"": func(t *rapid.T) {
				if q.Len() != len(queued) || q.Cost() != cost() || q.HasRoom() != (cost() < limit) {
					t.Fatalf("%d messages, %d bytes, room %v; want %d, %d of %d", q.Len(), q.Cost(), q.HasRoom(), len(queued), cost(), limit)
				}
			},
		})
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestInboxAllocatesNothingForWhatItHandsOn(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	q := transport.NewInbox(1 << 20)
	block, sizes := make([]byte, 320), []uint32{64, 64, 64, 64, 64}
	into := make([]transport.Message, 7)
	step := func() {
		for range 3 {
			q.PutRun(1, block, sizes)
		}
		for taken := 0; taken < 15; {
			taken += q.TryTake(into)
		}
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}

func TestInboxWakesTakersUntilItIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := transport.NewInbox(1 << 20)
		var taking sync.WaitGroup
		var mu sync.Mutex
		got := make(map[idspace.ID]int)
		for range 8 {
			taking.Go(func() {
				var into [3]transport.Message
				for {
					n := q.Take(into[:])
					if n == 0 {
						return
					}
					mu.Lock()
					for _, m := range into[:n] {
						got[m.ID]++
					}
					mu.Unlock()
				}
			})
		}
		for k := range 100 {
			batch := make([]transport.Message, 20)
			for m := range batch {
				batch[m].ID = idspace.ID(1 + k*20 + m)
			}
			q.Put(batch)
			if k%10 == 0 {
				synctest.Wait()
				if n := q.Len(); n != 0 {
					t.Errorf("%d messages are left while every taker sleeps", n)
				}
			}
		}
		q.Close()
		taking.Wait()
		for id := range idspace.ID(2000) {
			if got[id+1] != 1 {
				t.Errorf("message %d was taken %d times", id+1, got[id+1])
			}
		}
		if q.Put(make([]transport.Message, 1)) {
			t.Error("a closed inbox took a message")
		}
	})
}

// An awaiter may be woken and take nothing, because its context has ended.
func TestQueuesWakeAnotherWhenTheWokenOneLeaves(t *testing.T) {
	for _, q := range []struct {
		name string
		make func() (await func(context.Context) bool, put, close func())
	}{
		{"inbox", func() (func(context.Context) bool, func(), func()) {
			q := transport.NewInbox(1 << 20)
			return q.Await, func() { q.Put(make([]transport.Message, 1)) }, q.Close
		}},
		{"chain", func() (func(context.Context) bool, func(), func()) {
			c := transport.NewChain(10)
			return c.Await, func() { c.Put(0) }, c.Close
		}},
	} {
		t.Run(q.name, func(t *testing.T) {
			for range 200 {
				await, put, closeQueue := q.make()
				ctx, cancel := context.WithCancel(t.Context())
				var waiting sync.WaitGroup
				for k := range 4 { // three leave, one stays
					wait := ctx
					if k == 3 {
						wait = t.Context()
					}
					waiting.Go(func() {
						if !await(wait) && wait != ctx {
							t.Error("who stayed was told that nothing came")
						}
					})
				}
				var racing sync.WaitGroup
				racing.Go(cancel)
				racing.Go(put)
				racing.Wait()
				waiting.Wait() // hangs if the one who stays is not woken
				closeQueue()
			}
		})
	}
}

func TestChainIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots = 10
		c := transport.NewChain(slots)
		var model []uint32
		free := map[uint32]bool{}
		for i := range uint32(slots) {
			free[i] = true
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				i := rapid.Uint32Range(0, slots-1).Draw(t, "slot")
				if !free[i] {
					return
				}
				free[i] = false
				model = append(model, i)
				if !c.Put(i) {
					t.Fatal("an open chain refused")
				}
			},
			"take": func(t *rapid.T) {
				i, ok := c.TryTake()
				if ok != (len(model) > 0) || ok && i != model[0] {
					t.Fatalf("took %d, %v; want the first of %v", i, ok, model)
				}
				if ok {
					model = model[1:]
					free[i] = true
				}
			},
			"": func(t *rapid.T) {
				if c.Len() != len(model) {
					t.Fatalf("%d in the chain; want %d", c.Len(), len(model))
				}
			},
		})
		c.Close()
		if c.Put(0) {
			t.Fatal("a closed chain took one")
		}
		for _, want := range model {
			if i, ok := c.Take(); !ok || i != want {
				t.Fatalf("took %d, %v after the close; want %d", i, ok, want)
			}
		}
		if _, ok := c.Take(); ok {
			t.Fatal("took one from a closed and empty chain")
		}
		if c.Await(context.Background()) {
			t.Fatal("a closed and empty chain says there is one")
		}
	})
}

func TestLossesAreBoundedAndCountEverything(t *testing.T) {
	q := transport.NewLosses()
	q.Add(7, 0, 0, 0)
	for id := range idspace.ID(transport.LossesLimit + 10) {
		q.Add(id+1, 2, 0, 0)
		q.Add(id+1, 3, 0, 0) // joins the notice before, if that was taken in
	}
	st := q.Counts()
	messages, dropped := st.Undelivered, st.NoticesDropped
	if want := uint64(5 * (transport.LossesLimit + 10)); messages != want {
		t.Errorf("%d messages are lost; want %d", messages, want)
	}
	if dropped != 20 {
		t.Errorf("%d notices dropped; want 20", dropped)
	}
	for id := range idspace.ID(transport.LossesLimit) {
		if u, ok := q.Take(); !ok || u != (transport.Undelivered{ID: id + 1, Outcome: transport.ErrGone, Count: 5}) {
			t.Fatalf("took %+v, %v; want 5 gone of %v", u, ok, id+1)
		}
	}
	gone := st.LostGone
	q.Add(8, 1, 2, 3)
	q.Close()
	if st = q.Counts(); st.LostGone != gone+1 || st.LostUncertain != 2 || st.Undelivered != messages+6 {
		t.Errorf("%d gone and %d uncertain of %d lost; want 1, 2 and 6 more", st.LostGone-gone, st.LostUncertain, st.Undelivered-messages)
	}
	for _, want := range []transport.Undelivered{{8, transport.ErrGone, 1}, {8, transport.ErrUncertain, 2}, {8, transport.ErrBackpressure, 3}} {
		if u, ok := q.Take(); !ok || u != want {
			t.Errorf("took %+v, %v; want %+v", u, ok, want)
		}
	}
	if u, ok := q.Take(); ok {
		t.Errorf("took %+v from closed and empty losses", u)
	}
}

func TestLossesPutBackComeFirstAndWakeWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, err := transport.New(transport.Config{
			Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0", Codec: lineCodec(t)}},
			IDs:       sequence(t), MaxConns: 10,
		})
		if err != nil {
			t.Fatal(err)
		}
		notice := func(id idspace.ID) transport.Undelivered {
			return transport.Undelivered{ID: id, Outcome: transport.ErrGone, Count: 1}
		}
		var taking sync.WaitGroup
		taking.Go(func() {
			if u, ok := tr.RecvUndelivered(); !ok || u != notice(1) {
				t.Errorf("took %+v, %v; want what was put back", u, ok)
			}
		})
		synctest.Wait()
		tr.PutBackUndelivered(transport.Undelivered{ID: 2, Outcome: transport.ErrGone})
		tr.PutBackUndelivered(notice(1))
		taking.Wait()

		for id := range idspace.ID(transport.LossesLimit + 10) {
			tr.PutBackUndelivered(notice(id + 1))
		}
		if st := tr.Stats(); st.NoticesDropped != 10 || st.Undelivered != 0 {
			t.Errorf("%d notices dropped, %d messages lost; want 10 and none", st.NoticesDropped, st.Undelivered)
		}
		for id := idspace.ID(transport.LossesLimit + 10); id > 10; id-- {
			if u, ok := tr.RecvUndelivered(); !ok || u != notice(id) {
				t.Fatalf("took %+v, %v; want the one put back last, %d", u, ok, id)
			}
		}
	})
}

// outputModel is what an Output holds: messages in order.
type outputModel struct {
	stream  []byte // everything sent and not withdrawn
	pending []pendingMessage
	begun   int // bytes of the first pending message that are written
}

type pendingMessage struct {
	size  int
	wait  *transport.Queued // somebody waits
	alone *transport.Queued // in a chunk of its own, which can be withdrawn
}

func TestOutputWritesInOrderAndCountsExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o transport.Output
		var model outputModel
		var written []byte
		serial, done, counted := 0, 0, 0
		message := func(t *rapid.T) []byte {
			serial++
			size := rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 70_000)).Draw(t, "size")
			return fmt.Appendf(nil, "%0*d", size, serial)[:size]
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				msg := message(t)
				o.Append(msg)
				model.stream = append(model.stream, msg...)
				model.pending = append(model.pending, pendingMessage{size: len(msg)})
			},
			"push": func(t *rapid.T) {
				msg, waits := message(t), rapid.Bool().Draw(t, "waits")
				q := o.Push(msg, waits)
				p := pendingMessage{size: len(msg), alone: &q}
				if waits {
					p.wait = &q
				}
				model.stream = append(model.stream, msg...)
				model.pending = append(model.pending, p)
			},
			"withdraw": func(t *rapid.T) {
				at := rapid.IntRange(0, max(len(model.pending)-1, 0)).Draw(t, "message")
				if at >= len(model.pending) || model.pending[at].alone == nil || at == 0 && model.begun > 0 {
					return
				}
				o.PutBack()
				if !o.Withdraw(*model.pending[at].alone) {
					t.Fatalf("message %d, not begun, could not be withdrawn", at)
				}
				if o.Withdraw(*model.pending[at].alone) {
					t.Fatalf("message %d was withdrawn twice", at)
				}
				start := len(written) - model.begun
				for _, p := range model.pending[:at] {
					start += p.size
				}
				end := start + model.pending[at].size
				model.stream = append(model.stream[:start:start], model.stream[end:]...)
				model.pending = append(model.pending[:at:at], model.pending[at+1:]...)
			},
			"write": func(t *rapid.T) {
				o.TakeWaiting()
				data, messages := o.Write(rapid.IntRange(0, 150_000).Draw(t, "bytes"))
				written = append(written, data...)
				model.begun += len(data)
				for len(model.pending) > 0 && model.pending[0].size <= model.begun {
					p := model.pending[0]
					if p.wait != nil && !told(*p.wait) {
						t.Fatal("a sender was not told that its message is written")
					}
					done++
					model.begun -= p.size
					model.pending = model.pending[1:]
				}
				if counted += messages; counted > done {
					t.Fatalf("%d messages are counted as written, but %d are", counted, done)
				}
			},
			"put back": func(*rapid.T) { o.PutBack() },
			"": func(t *rapid.T) {
				if string(written) != string(model.stream[:len(written)]) {
					t.Fatalf("after %d bytes the output is not what was sent", len(written))
				}
			},
		})
		gone, uncertain, rest := o.Drop()
		if counted+rest != done {
			t.Fatalf("%d messages are counted as written in the end; want %d", counted+rest, done)
		}
		wantGone, wantUncertain := 0, 0
		for k, p := range model.pending {
			switch {
			case p.wait != nil: // its sender is told
			case k == 0 && model.begun > 0:
				wantUncertain++
			default:
				wantGone++
			}
		}
		if gone != wantGone || uncertain != wantUncertain {
			t.Fatalf("%d gone and %d uncertain; want %d and %d", gone, uncertain, wantGone, wantUncertain)
		}
		if !o.Idle() {
			t.Fatal("something is left after the drop")
		}
	})
}

func told(q transport.Queued) bool {
	_, ok := q.Told()
	return ok
}

func TestOutputTellsWhoWaitsHowItEnded(t *testing.T) {
	var o transport.Output
	first, second := o.Push([]byte("12345"), true), o.Push([]byte("67890"), true)
	third := o.Push([]byte("abc"), true)
	o.TakeWaiting()
	if data, n := o.Write(7); string(data) != "1234567" || n != 1 {
		t.Errorf("wrote %q, %d messages; want 1234567 and 1", data, n)
	}
	if outcome, ok := first.Told(); !ok || outcome != nil {
		t.Errorf("first: %v, %v; want nil", outcome, ok)
	}
	if _, ok := second.Told(); ok {
		t.Error("second was told before it was decided")
	}
	if o.Withdraw(second) || o.Withdraw(third) {
		t.Error("what is being written was withdrawn")
	}
	gone, uncertain, _ := o.Drop()
	if gone != 0 || uncertain != 0 {
		t.Errorf("%d gone, %d uncertain; want none beside those who wait", gone, uncertain)
	}
	if outcome, _ := second.Told(); !errors.Is(outcome, transport.ErrUncertain) {
		t.Errorf("second: %v; want ErrUncertain", outcome)
	}
	if outcome, _ := third.Told(); !errors.Is(outcome, transport.ErrGone) {
		t.Errorf("third: %v; want ErrGone", outcome)
	}
}

// What is encrypted and has begun to be written may have reached the client.
// What is encrypted cannot be withdrawn.
func TestOutputKnowsWhatIsEncrypted(t *testing.T) {
	for _, c := range []struct {
		written, sealed, begun   int
		gone, uncertain, counted int
		withdrawn                bool // the message of bytes 8 to 12
	}{
		{0, 0, 0, 4, 0, 0, true},
		{0, 16, 0, 4, 0, 0, false},
		{0, 8, 8, 2, 2, 0, true},
		{0, 16, 1, 3, 1, 0, false},
		{0, 16, 9, 1, 3, 0, false},
		{4, 8, 4, 2, 1, 1, false},
		{4, 0, 0, 3, 0, 1, true},
		{5, 3, 0, 2, 1, 1, true},
		{5, 11, 11, 0, 3, 1, false},
	} {
		for _, waits := range []bool{false, true} {
			var o transport.Output
			o.Append([]byte("1234"))
			o.Append([]byte("5678"))
			third := o.Push([]byte("9abc"), waits)
			o.Append([]byte("defg"))
			o.TakeWaiting()
			if _, n := o.Write(c.written); n != 0 {
				t.Fatalf("%d messages are counted before their chunk is done", n)
			}
			o.Seal(c.sealed, c.begun)
			o.PutBack()
			if got := waits && o.Withdraw(third); got != (waits && c.withdrawn) {
				t.Errorf("%+v: withdrawn %t", c, got)
				continue
			}
			if waits {
				continue
			}
			if gone, uncertain, written := o.Drop(); gone != c.gone || uncertain != c.uncertain || written != c.counted {
				t.Errorf("%+v: %d gone, %d uncertain, %d written", c, gone, uncertain, written)
			}
		}
	}
}
