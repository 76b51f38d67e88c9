package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/idspace"
)

func TestTwoClustersThatMeetStayApart(t *testing.T) {
	for _, meeting := range []string{"healed network", "overlapping lists"} {
		t.Run(meeting, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				plans := w.plans(6, 3) // one list for all six
				w.Partition(hosts(1, 3), hosts(4, 6))
				all := append(w.startAll(plans[:3]), w.startAll(plans[3:])...)
				a, b := all[0].State().Cluster, all[3].State().Cluster
				if a == b {
					t.Fatalf("both halves of a parted network found cluster %v", a)
				}
				w.Heal()
				if meeting == "overlapping lists" { // of those who start then
					for _, i := range []int{2, 5} {
						all[i].kill()
						all[i] = w.start(all[i].plan)
					}
					w.awaitNumbers(all...)
				}
				<-time.After(time.Minute)
				for i, n := range all {
					own, other := a, b
					if i >= 3 {
						own, other = b, a
					}
					if got := n.State().Cluster; got != own {
						t.Errorf("%s is in cluster %v, want %v", n.name, got, own)
					}
					if got := len(n.Members()); got != 3 {
						t.Errorf("%s sees %d members, want 3", n.name, got)
					}
					n.requireLogged(own.String())
					n.requireLogged(other.String())
				}
				sendAllToAll(t, members(all[:3])...)
				sendAllToAll(t, members(all[3:])...)
			})
		})
	}
}

func TestMinorityGoesOnSendingAndComesBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(5, 5))
		w.Partition(hosts(1, 2), hosts(3, 5))
		<-time.After(2 * time.Minute)
		sendAllToAll(t, members(lives[:2])...)
		sendAllToAll(t, members(lives[2:])...)
		for _, n := range lives[:2] {
			if _, err := n.Locate(t.Context(), lives[4].number); !errors.Is(err, mesh.ErrUnreachable) {
				t.Errorf("%s locates a node behind the partition: %v, want %v", n.name, err, mesh.ErrUnreachable)
			}
		}
		late := w.start(w.plans(6, 5)[5]) // on the greater side, as all others see it
		w.awaitNumbers(late)
		w.Heal()
		sendAllToAll(t, append(members(lives), late.member)...)
	})
}

func TestSendsGoOnWithoutQuorumAndARestartWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(5, 3))
		voters := lives[0].State().Voters
		for len(voters) == 0 { // it is not in raft, perhaps
			<-time.After(time.Second)
			lives = append(lives[1:], lives[0])
			voters = lives[0].State().Voters
		}
		var dead, up []*life
		for _, n := range lives {
			if len(dead) < 2 && slices.Contains(voters, n.server()) {
				n.kill()
				dead = append(dead, n)
			} else {
				up = append(up, n)
			}
		}
		<-time.After(2 * time.Minute)
		sendAllToAll(t, members(up)...)
		for _, n := range up {
			requireWorks(t, n.member, up[0].member)
			requireWorks(t, n.member, up[1].member)
			if why := n.Waiting(); why != "" {
				t.Errorf("%s, which has a number, waits for %s", n.name, why)
			}
			ahead := up[0].number + 1<<20
			if _, err := n.Locate(t.Context(), ahead); !errors.Is(err, mesh.ErrUnreachable) {
				t.Errorf("%s locates a number to come without a leader: %v, want %v", n.name, err, mesh.ErrUnreachable)
			}
		}

		up[2].kill()
		again := w.start(up[2].plan)
		<-time.After(time.Minute)
		select {
		case <-again.granted:
			t.Fatalf("%v was granted without a quorum", again.number)
		default:
		}
		again.requireWaits("majority of the 3 voters", "leader of cluster")
		w.start(dead[0].plan)
		w.awaitNumbers(again)
		if why := again.Waiting(); why != "" {
			t.Errorf("with a number it waits for %s", why)
		}
	})
}

// requireWorks has one node use the connections of another in each way.
func requireWorks(t *testing.T, from, to *member) {
	t.Helper()
	if from == to {
		return
	}
	id, err := idspace.NewID(to.number, 77)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	peer := locate(t, from, to.number)
	if err := peer.Send(ctx, id, mesh.KindDefault, []byte("x")); err != nil {
		t.Errorf("%s sends to %s: %v", from.name, to.name, err)
	}
	if err := peer.Close(ctx, id, 0, ""); err != nil {
		t.Errorf("%s closes at %s: %v", from.name, to.name, err)
	}
	if b, err := peer.Describe(ctx, id); err != nil || string(b) != "here" {
		t.Errorf("%s describes at %s: %q, %v", from.name, to.name, b, err)
	}
	to.inbox.take(id)
}

func TestSendsGoOnWhenConsensusHasFailed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		broken := lives[0]
		broken.BreakStore()
		broken.fails = true // in the end
		w.await("consensus to fail", func() bool { return broken.State().Err != nil })
		broken.requireLogged("consensus has failed")
		<-time.After(2 * time.Minute)
		for _, n := range lives[1:] {
			requireWorks(t, n.member, broken.member)
			requireWorks(t, broken.member, n.member)
		}
		sendAllToAll(t, members(lives)...)
		further, err := broken.Grant(t.Context()) // of the leader
		if err != nil || further <= broken.number {
			t.Errorf("a further number is %v, %v, want one after %v", further, err, broken.number)
		}
	})
}

func TestStrangersBytesDoNotDisturb(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		before := lives[0].State()
		stranger := w.Host(hostAddr(9).Addr())
		to := func(p port.Protocol, rest string) []byte {
			return append([]byte("\xf7flm\x01"+string(rune(p))), rest...)
		}
		const noise = "\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"
		for name, bytes := range map[string][]byte{
			"nothing":             nil,
			"half a preamble":     to(port.Raft, "")[:3],
			"a preamble":          to(port.Raft, ""),
			"noise for consensus": to(port.Raft, noise),
			"noise for the mesh":  to(port.Mesh, noise),
			"noise for gossip":    to(port.Gossip, noise),
			"TLS":                 []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
			"HTTP":                []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
			"zeroes":              make([]byte, 1<<10),
		} {
			for range 3 {
				for _, n := range lives {
					c, err := stranger.Dial(t.Context(), n.plan.addr())
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					t.Cleanup(func() { c.Close() })
					_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second)) // net.Pipe always takes it
					_, _ = c.Write(bytes)                                    // refused at some byte
				}
			}
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if after := lives[0].State(); after.Term != before.Term || after.Leader != before.Leader {
			t.Errorf("term %d led by %v, want %d led by %v as before", after.Term, after.Leader, before.Term, before.Leader)
		}
		sendAllToAll(t, members(lives)...)
		requireOneCluster(t, members(lives)...)
	})
}

// requireWaits checks that a node says what it waits for, in one of the ways.
func (n *life) requireWaits(oneOf ...string) {
	n.w.t.Helper()
	why := n.Waiting()
	if !slices.ContainsFunc(oneOf, func(want string) bool { return strings.Contains(why, want) }) {
		n.w.t.Errorf("%s waits for %q, want one of %q", n.name, why, oneOf)
		return
	}
	n.requireLogged("waiting")
}

func TestClusterOfSevenHasAsManyVotersAsExpected(t *testing.T) {
	for _, expect := range []int{3, 5} {
		t.Run(fmt.Sprintf("expect %d", expect), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				lives := w.startAll(w.plans(7, expect))
				<-time.After(time.Minute)
				roles := make(map[string]int)
				for _, node := range lives[0].Nodes() {
					roles[node.Role.String()]++
				}
				if roles["voter"] != expect || roles["nonvoter"] > 1 {
					t.Errorf("roles %v, want %d voters and at most one nonvoter", roles, expect)
				}
				sendAllToAll(t, members(lives)...)
				for _, n := range lives { // those outside of raft know the numbers, too
					if got := len(n.Nodes()); got != 7 {
						t.Errorf("%s lists %d nodes, want 7", n.name, got)
					}
				}
			})
		})
	}
}
