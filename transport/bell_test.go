package transport_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"flamingo/transport"
)

// Whoever is about to sleep must not miss what comes in that moment, and of
// several none.
func TestWhoListensHearsWhatEveryQueueTakesIn(t *testing.T) {
	for _, q := range []struct {
		name string
		make func() (bell transport.Bell, put, closeQueue func(), count func() int)
	}{
		{"inbox", func() (transport.Bell, func(), func(), func() int) {
			q := transport.NewInbox(1 << 20)
			return q.Bell(), func() { q.Put(make([]transport.Message, 1)) }, q.Close, q.Len
		}},
		{"chain", func() (transport.Bell, func(), func(), func() int) {
			c := transport.NewChain(10)
			return c.Bell(), func() { c.Put(0) }, c.Close, c.Len
		}},
	} {
		t.Run(q.name, func(t *testing.T) {
			for range 500 {
				bell, put, closeQueue, count := q.make()
				var closed atomic.Bool
				var listening sync.WaitGroup
				for range 2 {
					listening.Go(func() {
						bell.Wait(func() bool { return count() == 1 })
						bell.Wait(closed.Load)
					})
				}
				put()
				closed.Store(true)
				closeQueue()
				listening.Wait() // hangs if one of them was not told
			}
		})
	}
}

func TestServeEventsTakesEventsOfAllKindsInOrder(t *testing.T) {
	tr, stop := serve(t, func(*transport.Config) {})
	var events []string
	over := make(chan struct{})
	var taking sync.WaitGroup
	taking.Go(func() {
		into := make([]transport.Message, 10)
		tr.ServeEvents(t.Context(), func() {
			messages := into[:tr.TryRecvMany(into)]
			closes := tr.HoldCloses(nil)
			for _, o := range tr.HoldOpens(nil) {
				events = append(events, "open")
				tr.DoneOpen(o)
			}
			for k := range messages {
				events = append(events, string(messages[k].Data))
			}
			tr.Done(messages)
			for _, c := range closes {
				events = append(events, "close")
				tr.DoneClose(c)
				close(over)
			}
		})
	})
	nc := connect(t, tr)
	fmt.Fprint(nc, "a\nb\n")
	nc.Close()
	<-over
	stop() // the transport is closed: ServeEvents returns
	taking.Wait()
	if got, want := fmt.Sprint(events), "[open a b close]"; got != want {
		t.Errorf("took %s; want %s", got, want)
	}
	if n := tr.SlotsInUse(); n != 0 {
		t.Errorf("%d slots are in use after everything was done with", n)
	}
}

func TestServeEventsReturnsWhenItsContextIsDone(t *testing.T) {
	tr, _ := serve(t, func(*transport.Config) {})
	ctx, cancel := context.WithCancel(t.Context())
	var sleeping sync.WaitGroup
	sleeping.Go(func() { tr.ServeEvents(ctx, func() { t.Error("took an event when there was none") }) })
	cancel()
	sleeping.Wait()

	fmt.Fprintln(connect(t, tr), "x")
	if !tr.AwaitData(limit(t)) {
		t.Fatal("no message came")
	}
	tr.ServeEvents(ctx, func() { t.Error("took an event when the context was done") })
}
