package mesh_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A watchBook keeps what the mesh tells of watches, and is asked for them.
type watchBook struct {
	mu       sync.Mutex
	reached  []bool
	lost     int
	closed   map[idspace.ID]mesh.Closed
	watchers map[*mesh.Watcher][]idspace.ID
}

func newWatchBook() *watchBook {
	return &watchBook{closed: make(map[idspace.ID]mesh.Closed), watchers: make(map[*mesh.Watcher][]idspace.ID)}
}

func (b *watchBook) Reached(_ idspace.BootID, able bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reached = append(b.reached, able)
}

func (b *watchBook) Lost(idspace.BootID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost++
}

func (b *watchBook) Closed(_ idspace.BootID, id idspace.ID, c mesh.Closed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed[id] = c
}

func (b *watchBook) Watch(w *mesh.Watcher, ids []idspace.ID, _ bool) {
	b.mu.Lock()
	b.watchers[w] = append(b.watchers[w], ids...)
	b.mu.Unlock()
	for _, id := range ids {
		w.Tell(id, mesh.Closed{Fact: mesh.FactClosed, At: 7, Reason: 2})
	}
}

func (b *watchBook) Forget(w *mesh.Watcher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watchers, w)
}

// speaking runs two nodes of which the ends speak as set up.
func speaking(t *testing.T, set func(a, b *node), f func(t *testing.T, a, b *node, book *watchBook)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		book := newWatchBook()
		r := newRig(t, 2)
		r.config = func(cfg *mesh.Config) { cfg.Watched, cfg.Watching = book, book }
		r.made = func() { set(r.node(1), r.node(2)) }
		defer r.run()()
		f(t, r.node(1), r.node(2), book)
	})
}

func TestEndsOfDifferentFeaturesWorkTogether(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b uint64 // features
		able bool
	}{
		{"both watch", mesh.AllFeatures, mesh.AllFeatures, true},
		{"the other does not", mesh.AllFeatures, 0, false},
		{"this one does not", 0, mesh.AllFeatures, false},
		{"the other has more", mesh.AllFeatures, 1<<64 - 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			speaking(t, func(a, b *node) {
				a.SetFeatures(tc.a)
				b.SetFeatures(tc.b)
			}, func(t *testing.T, a, b *node, book *watchBook) {
				to := a.To(b.boot)
				to.Pin(true)
				after(time.Second)
				if able := to.Watch([]idspace.ID{idOf(2, 5)}, true); able != tc.able {
					t.Errorf("watching: %t, want %t", able, tc.able)
				}
				ctx, cancel := within(time.Minute)
				defer cancel()
				if err := to.Send(ctx, idOf(2, 1), mesh.KindDefault, []byte("x")); err != nil {
					t.Errorf("a send between ends of different features: %v", err)
				}
				after(time.Second)
				book.mu.Lock()
				defer book.mu.Unlock()
				if len(book.reached) != 1 || book.reached[0] != tc.able {
					t.Errorf("reached: %v, want once %t", book.reached, tc.able)
				}
				if got := book.closed[idOf(2, 5)]; (got == mesh.Closed{Fact: mesh.FactClosed, At: 7, Reason: 2}) != tc.able {
					t.Errorf("told %+v of the watched id, any: want %t", got, tc.able)
				}
			})
		})
	}
}

func TestEndsOfDifferentVersionsWorkTogetherIfTheyShareOne(t *testing.T) {
	for _, tc := range []struct {
		name   string
		a, b   [2]uint64
		shared bool
	}{
		{"the same", [2]uint64{1, 1}, [2]uint64{1, 1}, true},
		{"a later one dials", [2]uint64{1, 3}, [2]uint64{1, 1}, true},
		{"a later one is dialled", [2]uint64{1, 1}, [2]uint64{1, 3}, true},
		{"they meet at one end", [2]uint64{1, 2}, [2]uint64{2, 3}, true},
		{"none in common", [2]uint64{2, 3}, [2]uint64{1, 1}, false},
		{"none in common, the other way", [2]uint64{1, 1}, [2]uint64{2, 3}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			speaking(t, func(a, b *node) {
				a.SetVersions(tc.a)
				b.SetVersions(tc.b)
			}, func(t *testing.T, a, b *node, _ *watchBook) {
				ctx, cancel := within(time.Minute)
				defer cancel()
				err := a.To(b.boot).Send(ctx, idOf(2, 1), mesh.KindDefault, []byte("x"))
				if tc.shared && err != nil || !tc.shared && !errors.Is(err, mesh.ErrUnreachable) {
					t.Errorf("send: %v, want that it is delivered: %t", err, tc.shared)
				}
			})
		})
	}
}

func TestWatchesAreToldOfALostStreamOnceAndOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newWatchBook()
		r := newRig(t, 2)
		r.config = func(cfg *mesh.Config) { cfg.Watched, cfg.Watching = book, book }
		var mu sync.Mutex
		cut := false
		r.dial = func(_, _ *node) error {
			mu.Lock()
			defer mu.Unlock()
			if cut {
				return errors.New("no way")
			}
			return nil
		}
		defer r.run()()
		a, b := r.node(1), r.node(2)
		a.To(b.boot).Pin(true)
		after(5 * time.Minute) // far longer than an idle stream lives
		if p := a.peer(b.boot); p.State != mesh.StateUp {
			t.Errorf("a stream with watches is %v", p.State)
		}
		mu.Lock()
		cut = true
		mu.Unlock()
		r.cut()
		after(time.Minute)
		mu.Lock()
		cut = false
		mu.Unlock()
		after(10 * time.Second)
		book.mu.Lock()
		defer book.mu.Unlock()
		if book.lost != 1 || len(book.reached) != 2 {
			t.Errorf("lost %d times, reached %v; want once, and twice", book.lost, book.reached)
		}
	})
}
