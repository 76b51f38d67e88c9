package node_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"flamingo/node"
)

// A fan is a client of the model: what it has received, and what it should have.
type fan struct {
	client *client
	id     node.ID
	home   int
	groups map[string]bool // of which it is a member
	want   []string

	mu  sync.Mutex
	got []string // guarded by mu
}

func (f *fan) read() {
	for {
		line, err := f.client.in.ReadString('\n')
		if err != nil {
			return
		}
		f.mu.Lock()
		f.got = append(f.got, line[:len(line)-1])
		f.mu.Unlock()
	}
}

// A club is three nodes beside a model of what they should know.
type club struct {
	*world
	random *rand.Rand
	nodes  []*node.Node
	fans   []*fan // connected
	sent   int
}

var clubGroups = []string{"a", "b", "room/1", "user/42"}

func (c *club) connectFan() {
	home := c.random.IntN(len(c.nodes))
	f := &fan{home: home, groups: make(map[string]bool)}
	f.client, f.id = c.connect(c.nodes[home])
	_ = f.client.SetDeadline(outset.AddDate(1, 0, 0)) // it reads to the end of the test
	go f.read()
	c.fans = append(c.fans, f)
}

// members returns the fans in a group.
func (c *club) members(group string) (all []*fan) {
	for _, f := range c.fans {
		if f.groups[group] {
			all = append(all, f)
		}
	}
	return all
}

// step does something at random through one node, and to the model.
func (c *club) step() {
	c.t.Helper()
	actor := c.random.IntN(len(c.nodes))
	n, group := c.nodes[actor], clubGroups[c.random.IntN(len(clubGroups))]
	f := c.fans[c.random.IntN(len(c.fans))]
	switch dice := c.random.IntN(20); {
	case dice < 6:
		join(c.t, n, f.id, group)
		f.groups[group] = true
		c.publish(n, group) // before the others have heard of it
	case dice < 9:
		if err := n.LeaveGroup(f.id, group); err != nil {
			c.t.Fatalf("LeaveGroup: %v", err)
		}
		delete(f.groups, group)
	case dice < 16:
		c.publish(n, group)
	case dice < 18:
		c.end(f)
		c.connectFan()
	case dice < 19:
		if err := n.SendClose(f.id); err != nil {
			c.t.Fatalf("SendClose: %v", err)
		}
		c.forget(f)
		c.connectFan()
	default:
		if p, err := n.CloseGroup(group); err != nil || len(p.Failed) != 0 {
			c.t.Fatalf("CloseGroup: %+v, %v", p, err)
		}
		for _, f := range c.members(group) {
			c.forget(f)
			c.connectFan()
		}
	}
}

// publish sends to a group, and to one of the fans before and after.
func (c *club) publish(n *node.Node, group string) {
	c.t.Helper()
	c.sent++
	msg := fmt.Sprintf("%d to %s", c.sent, group)
	if c.random.IntN(4) == 0 {
		msg += fmt.Sprintf("%*s", c.random.IntN(100_000), "")
	}
	direct := c.fans[c.random.IntN(len(c.fans))]
	out := c.fans[c.random.IntN(len(c.fans))]
	if err := n.SendData(direct.id, []byte("before "+msg)); err != nil {
		c.t.Fatal(err)
	}
	if p := publish(c.t, n, group, msg, out.id); p.Refused != 0 || len(p.Failed) != 0 {
		c.t.Fatalf("published %+v", p)
	}
	if err := n.SendData(direct.id, []byte("after "+msg)); err != nil {
		c.t.Fatal(err)
	}
	direct.want = append(direct.want, "before "+msg)
	for _, f := range c.members(group) {
		if f != out {
			f.want = append(f.want, msg)
		}
	}
	direct.want = append(direct.want, "after "+msg)
}

func (c *club) end(f *fan) {
	f.client.Close()
	c.forget(f)
}

func (c *club) forget(f *fan) {
	c.fans = slices.DeleteFunc(c.fans, func(other *fan) bool { return other == f })
}

// check compares everything that can be asked, through one node, with the model.
func (c *club) check() {
	c.t.Helper()
	n := c.nodes[c.random.IntN(len(c.nodes))]
	for _, f := range c.fans {
		want := slices.Sorted(maps.Keys(f.groups))
		if got, err := n.Groups(f.id); err != nil || !slices.Equal(got, want) {
			c.t.Fatalf("groups of %v: %q, %v; want %q", f.id, got, err, want)
		}
		f.mu.Lock()
		got := slices.Clone(f.got)
		f.mu.Unlock()
		if !slices.Equal(got, f.want) {
			c.t.Fatalf("%v of node %d, in %v, got %.40q\nwant %.40q", f.id, f.home, want, got, f.want)
		}
	}
	exist := 0
	for _, group := range clubGroups {
		var want []node.ID
		for _, f := range c.members(group) {
			want = append(want, f.id)
		}
		if len(want) > 0 {
			exist++
		}
		requireMembers(c.t, []*node.Node{n}, group, want...)
	}
	if page, err := n.AllGroups(c.t.Context(), "", 100); err != nil || len(page.Groups) != exist {
		c.t.Fatalf("groups %+v, %v; want %d", page, err, exist)
	}
	for k, n := range c.nodes {
		elsewhere := 0
		for _, group := range clubGroups {
			homes := make(map[int]bool)
			for _, f := range c.members(group) {
				homes[f.home] = homes[f.home] || f.home != k
			}
			for _, other := range homes {
				if other {
					elsewhere++
				}
			}
		}
		if got := n.GroupStats().Elsewhere; got != elsewhere {
			c.t.Fatalf("node %d knows of %d groups elsewhere, want %d", k, got, elsewhere)
		}
	}
}

// Whatever happens in whatever order, who is a member, who is known to have
// members, and what each connection gets is as a model says.
func TestGroupsAreAsTheirModelSays(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				opts := w.fabric()
				for i := range opts {
					opts[i].Ignore = node.IgnoreCloses
				}
				c := &club{world: w, random: rand.New(rand.NewPCG(seed, 1)), nodes: w.openAll(opts)}
				for range 9 {
					c.connectFan()
				}
				for range 150 {
					c.step()
					synctest.Wait() // everything is told and delivered
					c.check()
				}
			})
		})
	}
}

func TestGroupsRefuseWhatIsOverABound(t *testing.T) {
	opts := lines()
	opts.GroupsPerConn, opts.MaxGroups, opts.MetaBytes, opts.TotalMetaBytes = 2, 3, 20, 30
	n := start(t, opts)
	_, a := connectID(t, n)
	_, b := connectID(t, n)
	join(t, n, a, "1", "2")
	join(t, n, b, "2", "3")
	if err := errors.Join(n.SetMeta(a, "key", "1234567890"), n.SetMeta(b, "k", "value")); err != nil {
		t.Fatal(err)
	}
	_, other := connectID(t, n)
	for what, err := range map[string]error{
		"a third group of one":        n.JoinGroup(a, "3"),
		"a fourth group of the node":  n.JoinGroup(other, "4"),
		"metadata of one":             n.SetMeta(a, "more", "1"),
		"metadata of the node":        n.SetMeta(b, "l", "value"),
		"longer in place of the same": n.SetMeta(a, "key", "12345678901234567"),
	} {
		if !errors.Is(err, node.ErrLimit) {
			t.Errorf("%s: %v, want ErrLimit", what, err)
		}
	}
	if st := n.GroupStats(); st.Limited != 5 || st.Groups != 3 || st.Memberships != 4 {
		t.Errorf("%+v; want 5 refused, and 4 memberships in 3 groups", st)
	}
	if err := errors.Join(n.LeaveGroup(a, "1"), n.JoinGroup(other, "4"), n.SetMeta(a, "key", ""), n.SetMeta(b, "l", "value")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if meta, err := n.Meta(t.Context(), b); err != nil || !maps.Equal(meta, map[string]string{"k": "value", "l": "value"}) {
		t.Errorf("metadata %v, %v", meta, err)
	}
}

func TestGroupsRefuseNamesThatAreNone(t *testing.T) {
	n := start(t, lines())
	_, id := connectID(t, n)
	for _, name := range []string{"", "a\nb", "\xff", string(make([]byte, 5)), fmt.Sprintf("%0129d", 1)} {
		_, publishing := n.Publish(name, nil)
		_, closing := n.CloseGroup(name)
		_, listing := n.GroupMembers(t.Context(), name, 0, 1)
		for what, err := range map[string]error{
			"JoinGroup": n.JoinGroup(id, name), "LeaveGroup": n.LeaveGroup(id, name), "SetMeta": n.SetMeta(id, name, "v"),
			"Publish": publishing, "CloseGroup": closing, "GroupMembers": listing,
		} {
			if !errors.Is(err, node.ErrBadGroup) {
				t.Errorf("%s of %.20q: %v, want ErrBadGroup", what, name, err)
			}
		}
	}
	if _, err := n.Publish("g", nil, make([]node.ID, node.MaxExcept+1)...); !errors.Is(err, node.ErrBadOption) {
		t.Errorf("too many left out: %v, want ErrBadOption", err)
	}
	if _, err := n.GroupMembers(t.Context(), "g", 0, 1001); !errors.Is(err, node.ErrBadOption) {
		t.Errorf("a long page: %v, want ErrBadOption", err)
	}
}
