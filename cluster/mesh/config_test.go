package mesh_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"flamingo/cluster/mesh"
)

func TestConfigFaultsAreToldAllAtOnce(t *testing.T) {
	_, err := mesh.New(mesh.Config{
		Lanes: 17, Window: -1, MaxPeers: 1 << 20, PingEvery: time.Microsecond, SendTimeout: 2 * time.Hour,
	})
	if !errors.Is(err, mesh.ErrBadConfig) {
		t.Fatalf("New: %v", err)
	}
	for _, field := range []string{"Network", "Identity", "Owner", "OutcomeOf", "Lanes", "Window", "MaxPeers", "PingEvery", "SendTimeout"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not among the faults: %v", field, err)
		}
	}
}

func TestConfigRelations(t *testing.T) {
	r := newRig(t, 1)
	for name, set := range map[string]func(*mesh.Config){
		"message larger than the window": func(c *mesh.Config) { c.Window, c.MaxMessage = 1<<20, 1<<20 },
		"dead before the second ping":    func(c *mesh.Config) { c.DeadAfter = time.Second },
		"idle before a ping":             func(c *mesh.Config) { c.IdleTimeout = time.Millisecond },
		"no boot":                        func(c *mesh.Config) { c.Identity = &node{rig: r} },
	} {
		cfg := r.configOf(r.node(1))
		set(&cfg)
		if _, err := mesh.New(cfg); !errors.Is(err, mesh.ErrBadConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewStartsNothingAndRunRunsOnce(t *testing.T) {
	r := newRig(t, 1)
	m, err := mesh.New(r.configOf(r.node(1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.To(bootOf(2)).SendData(idOf(2, 1), mesh.KindDefault, nil); !errors.Is(err, mesh.ErrClosed) {
		t.Errorf("before Run: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := m.Run(ctx); err == nil {
		t.Error("Run ran twice")
	}
}

func TestPeersAreBounded(t *testing.T) {
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) { c.MaxPeers = 2 }
	}, func(t *testing.T, a, b *node) {
		for n := 5; n <= 6; n++ { // nobody is there
			if err := a.To(bootOf(n)).SendData(idOf(n, 1), mesh.KindDefault, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, nil); !errors.Is(err, mesh.ErrUnreachable) {
			t.Errorf("over the bound: %v", err)
		}
		if a.To(b.boot).Pin(true) {
			t.Error("over the bound: it can be watched")
		}
		after(time.Minute) // the two have been given up
		if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, nil); err != nil {
			t.Errorf("in the place of an idle one: %v", err)
		}
		if !a.To(b.boot).Pin(true) {
			t.Error("in the place of an idle one it cannot be watched")
		}
		if err := a.To(a.boot).SendData(idOf(1, 1), mesh.KindDefault, nil); !errors.Is(err, mesh.ErrBadPeer) {
			t.Errorf("to itself: %v", err)
		}
	})
}

func TestPeerOutlivesTheEvictionOfItsLink(t *testing.T) {
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) { c.MaxPeers = 1 }
	}, func(t *testing.T, a, b *node) {
		id, to, nobody := idOf(2, 1), a.To(b.boot), a.To(bootOf(5))
		for round := range 3 {
			if err := to.SendData(id, mesh.KindDefault, []byte(text(round))); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			if err := nobody.SendData(idOf(5, 1), mesh.KindDefault, nil); !errors.Is(err, mesh.ErrUnreachable) {
				t.Errorf("round %d: in the place of a busy one: %v", round, err)
			}
			after(3 * time.Minute) // its link is at rest
			if err := nobody.SendData(idOf(5, 1), mesh.KindDefault, nil); err != nil {
				t.Errorf("round %d: in the place of an idle one: %v", round, err)
			}
			after(time.Minute) // it has been given up
		}
		if _, err := to.Describe(t.Context(), id); err != nil {
			t.Error(err)
		}
		if got := b.messages(id); len(got) != 3 || a.lossCount() != 3 {
			t.Errorf("arrived %q, lost %v", got, a.losses())
		}
	})
}

func TestReportsAreBounded(t *testing.T) {
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) { c.Reports = 3 }
		r.dial = func(_, _ *node) error { return errNoRoute }
	}, func(t *testing.T, a, b *node) {
		for k := 1; k <= 10; k++ {
			if err := a.To(b.boot).SendData(idOf(2, k), mesh.KindDefault, nil); err != nil {
				t.Fatal(err)
			}
		}
		after(time.Minute)
		s := a.Stats()
		if a.lossCount() != 3 || s.LostReports != 7 || s.Undelivered[mesh.OutcomeUnreachable] != 10 {
			t.Errorf("%d told, %+v", a.lossCount(), s)
		}
	})
}
