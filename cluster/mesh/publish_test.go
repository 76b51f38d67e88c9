package mesh_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A club holds the members of groups, for the node that has it as its Groups. What
// it delivers, its node has got.
type club struct {
	*node
	members map[string][]idspace.ID // immutable

	mu     sync.Mutex
	frames []string // one for each call
}

func (c *club) Publish(to mesh.Audience, kind mesh.Kind, msg []byte) {
	c.note(fmt.Sprintf("%s %d bytes", to.Group, len(msg)))
	for _, id := range c.members[to.Group] {
		if to.Includes(id) {
			_ = c.Deliver(id, kind, msg)
		}
	}
}

func (c *club) CloseGroup(to mesh.Audience, code uint16, reason string) {
	c.note(fmt.Sprintf("%s %d %q", to.Group, code, reason))
	for _, id := range c.members[to.Group] {
		if to.Includes(id) {
			_ = c.Close(id, code, reason)
		}
	}
}

func (c *club) note(frame string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, frame)
}

// withClub gives node 2 a club of ten members, and every link so many lanes.
func withClub(lanes int) (c *club, set func(*rig)) {
	c = &club{members: make(map[string][]idspace.ID)}
	for k := range 10 {
		c.members["all"] = append(c.members["all"], idOf(2, k+1))
	}
	return c, func(r *rig) {
		c.node = r.node(2)
		r.config = func(cfg *mesh.Config) {
			cfg.Lanes = lanes
			if cfg.Owner == mesh.Owner(c.node) {
				cfg.Groups = c
			}
		}
	}
}

func TestPublishIsOneFrameForEachLaneAndReachesEachMemberOnce(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		c, set := withClub(lanes)
		bubble(t, set, func(t *testing.T, a, b *node) {
			out := []idspace.ID{idOf(2, 4), idOf(2, 2)}
			if err := a.To(b.boot).Publish("all", out, mesh.KindText, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if err := a.To(b.boot).Publish("nobody", nil, mesh.KindText, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			flush(t, a)
			for _, id := range c.members["all"] {
				want := []string{"hello"}
				if slices.Contains(out, id) {
					want = nil
				}
				if got := b.messages(id); !slices.Equal(got, want) {
					t.Errorf("%d lanes: %v got %q, want %q", lanes, id, got, want)
				}
			}
			if len(c.frames) != 2*lanes {
				t.Errorf("%d lanes: frames %q, want two on each", lanes, c.frames)
			}
		})
	}
}

func TestCloseGroupComesBehindWhatWasPublished(t *testing.T) {
	c, set := withClub(2)
	bubble(t, set, func(t *testing.T, a, b *node) {
		long := strings.Repeat("l", 300<<10)
		if err := errors.Join(
			a.To(b.boot).Publish("all", nil, mesh.KindDefault, []byte(long)),
			a.To(b.boot).CloseGroup("all", 4001, "bye"),
		); err != nil {
			t.Fatal(err)
		}
		flush(t, a)
		if len(c.frames) != 4 || !strings.HasPrefix(c.frames[3], "all 4001") || !slices.Contains(c.frames[:2], fmt.Sprintf("all %d bytes", len(long))) {
			t.Errorf("frames %q, want on each lane the message and then the close", c.frames)
		}
		for _, id := range c.members["all"] {
			if got := b.messages(id); !slices.Equal(got, []string{long}) || b.closed[id] != 1 || b.endings[id] != `4001 "bye"` {
				t.Errorf("%v: %d messages, closed %d times with %s", id, len(got), b.closed[id], b.endings[id])
			}
		}
	})
}

// Whatever is sent by whichever method, at each id it is in the order in which
// one goroutine has sent it: long messages and publishes, which may be for any id,
// overtake nothing and are overtaken by nothing that is for the same id.
func TestPublishKeepsItsPlaceAmongAllThatIsSent(t *testing.T) {
	for seed := range uint64(20) {
		c, set := withClub(1 + int(seed%3))
		bubble(t, set, func(t *testing.T, a, b *node) {
			random := rand.New(rand.NewPCG(seed, 0))
			to, members := a.To(b.boot), c.members["all"]
			want := make(map[idspace.ID][]string)
			for m := range 200 {
				msg := fmt.Sprintf("%d %s", m, strings.Repeat("x", random.IntN(100)))
				if random.IntN(8) == 0 {
					msg += strings.Repeat("y", 70_000+random.IntN(200_000))
				}
				id := members[random.IntN(len(members))]
				switch random.IntN(3) {
				case 0:
					if err := to.SendData(id, mesh.KindDefault, []byte(msg)); err != nil {
						t.Fatal(err)
					}
					want[id] = append(want[id], msg)
				case 1:
					ids, results := members[:1+random.IntN(9)], make([]error, 10)
					to.SendMany(ids, mesh.KindDefault, []byte(msg), results[:len(ids)])
					for k, one := range ids {
						if results[k] != nil {
							t.Fatal(results[k])
						}
						want[one] = append(want[one], msg)
					}
				default:
					if err := to.Publish("all", []idspace.ID{id}, mesh.KindDefault, []byte(msg)); err != nil {
						t.Fatal(err)
					}
					for _, one := range members {
						if one != id {
							want[one] = append(want[one], msg)
						}
					}
				}
			}
			flush(t, a)
			for _, id := range members {
				if got := b.messages(id); !slices.Equal(got, want[id]) {
					t.Fatalf("seed %d: %v got %s\nwant %s", seed, id, heads(got), heads(want[id]))
				}
			}
		})
	}
}

func heads(messages []string) (all []string) {
	for _, m := range messages {
		head, _, _ := strings.Cut(m, " ")
		all = append(all, head)
	}
	return all
}

func TestPublishThatIsNotTakenIsReportedWithItsGroupAndPeer(t *testing.T) {
	_, set := withClub(1)
	bubble(t, func(r *rig) {
		set(r)
		r.dial = func(*node, *node) error { return errNoRoute }
	}, func(t *testing.T, a, b *node) {
		for range 2 {
			if err := a.To(b.boot).Publish("all", nil, mesh.KindDefault, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, a)
		after(0)
		a.mu.Lock()
		defer a.mu.Unlock()
		want := mesh.Undelivered{Outcome: mesh.OutcomeUnreachable, Messages: 2, Group: "all", Peer: b.boot}
		if len(a.lost) != 1 || a.lost[0] != want {
			t.Errorf("reports %+v, want %+v", a.lost, want)
		}
	})
}

func TestPublishIsRefusedForWhatDoesNotFit(t *testing.T) {
	_, set := withClub(1)
	bubble(t, set, func(t *testing.T, a, b *node) {
		to := a.To(b.boot)
		for what, err := range map[string]error{
			"no name":       to.Publish("", nil, mesh.KindDefault, nil),
			"a long name":   to.Publish(strings.Repeat("n", 256), nil, mesh.KindDefault, nil),
			"many left out": to.Publish("all", make([]idspace.ID, mesh.MaxExcept+1), mesh.KindDefault, nil),
			"long":          to.Publish("all", nil, mesh.KindDefault, make([]byte, mesh.DefaultMaxMessage+1)),
		} {
			if !errors.Is(err, mesh.ErrTooLarge) {
				t.Errorf("%s: %v, want ErrTooLarge", what, err)
			}
		}
	})
}
