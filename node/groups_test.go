package node_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
)

// requireMembers checks what every node says of a group.
func requireMembers(t testing.TB, nodes []*node.Node, group string, want ...node.ID) {
	t.Helper()
	want = slices.Sorted(slices.Values(want)) // the caller's are in another order
	for k, n := range nodes {
		page, err := n.GroupMembers(t.Context(), group, 0, 1000)
		if err != nil || !slices.Equal(page.Members, want) || page.Next != 0 || len(page.Missing) != 0 {
			t.Errorf("node %d: members of %q: %+v, %v; want %v", k, group, page, err, want)
		}
		count, missing, err := n.GroupCount(t.Context(), group)
		if err != nil || count != len(want) || len(missing) != 0 {
			t.Errorf("node %d: count of %q: %d, %v, %v; want %d", k, group, count, missing, err, len(want))
		}
	}
}

func join(t testing.TB, n *node.Node, id node.ID, groups ...string) {
	t.Helper()
	for _, group := range groups {
		if err := n.JoinGroup(id, group); err != nil {
			t.Fatalf("JoinGroup %s: %v", group, err)
		}
	}
}

func publish(t testing.TB, n *node.Node, group, msg string, except ...node.ID) node.Published {
	t.Helper()
	p, err := n.Publish(group, []byte(msg), except...)
	if err != nil {
		t.Fatalf("Publish to %s: %v", group, err)
	}
	return p
}

func TestPublishReachesTheMembersOnAllNodes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		var clients []*client
		var ids []node.ID
		for k := range 6 { // two at each node
			c, id := w.connect(nodes[k%3])
			clients, ids = append(clients, c), append(ids, id)
		}
		for k, id := range ids[:5] {
			join(t, nodes[(k+1)%3], id, "room/7") // through another node than its own
		}
		synctest.Wait()
		requireMembers(t, nodes, "room/7", ids[:5]...)
		for k, n := range nodes {
			msg := fmt.Sprintf("from %d", k)
			p := publish(t, n, "room/7", msg, ids[0], ids[4])
			if p.Nodes != 2 || p.Refused != 0 || len(p.Failed) != 0 {
				t.Errorf("node %d: published %+v, want it handed to the two others", k, p)
			}
			for _, c := range clients[1:4] {
				c.expect(msg)
			}
		}
		long := strings.Repeat("l", 200_000)
		publish(t, nodes[0], "room/7", long)
		for _, c := range clients[:5] {
			c.expect(long)
		}
		if p := publish(t, nodes[0], "room/8", "nobody"); p.Local != 0 || p.Nodes != 0 || len(p.Failed) != 0 {
			t.Errorf("a group without members: %+v, want nobody asked", p)
		}

		if p, err := nodes[1].CloseGroup("room/7"); err != nil || p.Local != 2 || p.Nodes != 2 {
			t.Errorf("CloseGroup: %+v, %v; want two here and two nodes", p, err)
		}
		for _, c := range clients[:5] {
			c.expectEnd()
		}
		synctest.Wait()
		requireMembers(t, nodes, "room/7")
		if err := nodes[0].SendData(ids[5], []byte("still there")); err != nil {
			t.Error(err)
		}
		clients[5].expect("still there")
	})
}

// A user's connections are a group like any other.
func TestWhoJoinsThroughANodeIsAMemberThereAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[2])
		<-time.After(2 * time.Second) // until the nodes know that no group has members
		for k := range 20 {
			group := fmt.Sprintf("user/%d", k)
			join(t, nodes[0], id, group)
			if p := publish(t, nodes[0], group, group); p.Nodes != 1 {
				t.Fatalf("%s: published %+v, want it handed to one node", group, p)
			}
			c.expect(group)
		}
	})
}

func TestMembershipAndMetadataEndWithTheConnection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[1])
		_, other := w.connect(nodes[1])
		join(t, nodes[0], id, "b", "a", "c", "a")
		join(t, nodes[0], other, "a")
		if err := nodes[2].LeaveGroup(id, "c"); err != nil {
			t.Fatal(err)
		}
		if err := nodes[2].SetMeta(id, "user", "42"); err != nil {
			t.Fatal(err)
		}
		if groups, err := nodes[2].Groups(id); err != nil || !slices.Equal(groups, []string{"a", "b"}) {
			t.Errorf("groups %q, %v; want a and b", groups, err)
		}
		for k, n := range nodes {
			if info, err := n.Describe(t.Context(), id); err != nil || len(info.Meta) != 1 || info.Meta["user"] != "42" {
				t.Errorf("node %d: metadata %v, %v", k, info.Meta, err)
			}
		}
		c.Close()
		if got := recvClose(t, nodes[1]); got != id {
			t.Fatalf("closed %v, want %v", got, id)
		}
		if st := nodes[1].GroupStats(); st.Memberships != 1 || st.Groups != 1 || st.MetaBytes != 0 {
			t.Errorf("when the end is reported: %+v; want the other's membership alone", st)
		}
		requireMembers(t, nodes, "a", other)
		requireMembers(t, nodes, "b")
		for what, err := range map[string]error{
			"JoinGroup":  nodes[0].JoinGroup(id, "a"),
			"LeaveGroup": nodes[0].LeaveGroup(id, "a"),
			"SetMeta":    nodes[0].SetMeta(id, "user", "42"),
			"at home":    nodes[1].JoinGroup(id, "a"),
		} {
			if !errors.Is(err, node.ErrGone) {
				t.Errorf("%s: %v, want ErrGone", what, err)
			}
		}
		if _, err := nodes[0].Groups(other + 1); !errors.Is(err, node.ErrNeverIssued) {
			t.Errorf("groups of an id to come: %v, want ErrNeverIssued", err)
		}
		synctest.Wait()
		if st := nodes[0].GroupStats(); st.Elsewhere != 1 {
			t.Errorf("node 0 knows of %d groups elsewhere, want one", st.Elsewhere)
		}
	})
}

// What nodes know of each other's groups converges when the link is back, and
// meanwhile a publish names the node that it does not reach.
func TestInterestsConvergeOnceALinkIsBack(t *testing.T) {
	for name, outage := range map[string]time.Duration{"short": 3 * time.Second, "longer than gossip remembers": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				nodes := w.openAll(w.fabric())
				c, id := w.connect(nodes[2])
				far, farID := w.connect(nodes[0])
				join(t, nodes[2], id, "before", "stays")
				synctest.Wait()
				w.isolate(2)
				<-time.After(outage / 2)
				if err := nodes[2].LeaveGroup(id, "before"); err != nil {
					t.Fatal(err)
				}
				join(t, nodes[2], id, "during", "then")
				join(t, nodes[0], farID, "during")
				<-time.After(outage / 2)
				if outage > time.Minute {
					p := publish(t, nodes[0], "stays", "lost")
					if p.Nodes != 0 || len(p.Failed) != 1 || !errors.Is(p.Failed[0], node.ErrUnreachable) || p.Failed[0].Number != nodes[2].Number() {
						t.Errorf("published %+v, want the number of node 2 among the failed, unreachable", p)
					}
					count, missing, err := nodes[0].GroupCount(t.Context(), "stays")
					if err != nil || count != 0 || len(missing) != 1 || missing[0].Number != nodes[2].Number() {
						t.Errorf("count %d, missing %v, %v; want node 2 missing", count, missing, err)
					}
				}
				w.Heal()
				until(t, "the nodes to know of each other's groups", func() bool {
					return nodes[0].GroupStats().Elsewhere == 3 && nodes[1].GroupStats().Elsewhere == 4 && nodes[2].GroupStats().Elsewhere == 1
				})
				if p := publish(t, nodes[0], "before", "nobody"); p.Nodes != 0 || len(p.Failed) != 0 {
					t.Errorf("a group that was left: %+v, want nobody asked", p)
				}
				until(t, "the way to node 2 to be open", func() bool { return publish(t, nodes[1], "then", "you").Nodes == 1 })
				c.expect("you")
				until(t, "the way back to be open", func() bool { return nodes[2].SendData(farID, []byte("and you")) == nil })
				far.expect("and you")
				publish(t, nodes[1], "during", "hello")
				c.expect("hello")
				far.expect("hello")
				publish(t, nodes[0], "stays", "you")
				c.expect("you")
			})
		})
	}
}

func TestGroupPagesListEachMemberOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		var want []node.ID
		for k := range 21 {
			_, id := w.connect(nodes[k%3])
			join(t, nodes[k%3], id, "all", fmt.Sprintf("g%02d", k%7))
			want = append(want, id)
		}
		slices.Sort(want)
		for _, limit := range []int{1, 4, 21, 100} {
			var got []node.ID
			for after := node.ID(0); ; {
				page, err := nodes[0].GroupMembers(t.Context(), "all", after, limit)
				if err != nil || len(page.Members) > limit {
					t.Fatalf("page of %d: %+v, %v", limit, page, err)
				}
				got = append(got, page.Members...)
				if after = page.Next; after == 0 {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d: %v, want %v", limit, got, want)
			}
			var names []string
			for after := ""; ; {
				page, err := nodes[1].AllGroups(t.Context(), after, limit)
				if err != nil || len(page.Groups) > limit {
					t.Fatalf("page of %d groups: %+v, %v", limit, page, err)
				}
				for _, g := range page.Groups {
					names = append(names, fmt.Sprint(g.Name, " ", g.Members))
				}
				if after = page.Next; after == "" {
					break
				}
			}
			if got := strings.Join(names, ", "); got != "all 21, g00 3, g01 3, g02 3, g03 3, g04 3, g05 3, g06 3" {
				t.Errorf("groups in pages of %d: %s", limit, got)
			}
		}
	})
}
