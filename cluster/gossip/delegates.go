package gossip

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"flamingo/idspace"

	"github.com/hashicorp/memberlist"
)

// delegates is what memberlist calls, mostly under its lock: so nothing here
// blocks, logs or calls memberlist.
type delegates struct{ g *Gossip }

var (
	_ memberlist.Delegate      = delegates{}
	_ memberlist.EventDelegate = delegates{}
	_ memberlist.AliveDelegate = delegates{}
	_ memberlist.MergeDelegate = delegates{}
	_ memberlist.PingDelegate  = delegates{}
)

// NodeMeta returns what this node announces.
func (d delegates) NodeMeta(int) []byte {
	b, err := d.g.Meta().Encode()
	if err != nil {
		panic("gossip: meta was checked before: " + err.Error())
	}
	return b
}

// memberOf reads what memberlist knows of n. The error matches ErrBadMeta.
func memberOf(n *memberlist.Node) (Member, error) {
	boot, err := idspace.ParseBootID(n.Name)
	if err != nil {
		return Member{}, fmt.Errorf("%w: member name: %w", ErrBadMeta, err)
	}
	m, err := DecodeMeta(n.Meta)
	if err != nil {
		return Member{}, err
	}
	ip, _ := netip.AddrFromSlice(n.Addr)
	addr := netip.AddrPortFrom(ip.Unmap(), n.Port)
	if addr != m.Address {
		return Member{}, fmt.Errorf("%w: %v announces the address %v under %v", ErrBadMeta, boot, m.Address, addr)
	}
	return Member{Boot: boot, Addr: addr, Meta: m, Since: time.Now()}, nil
}

// NotifyAlive decides whether a node may be a member, whoever tells of it.
func (d delegates) NotifyAlive(n *memberlist.Node) error { return d.g.admit(n) }

// NotifyMerge decides whether the members of another node may be joined. What
// else may be wrong concerns single members: NotifyAlive sees to that.
func (d delegates) NotifyMerge(peers []*memberlist.Node) error {
	for _, n := range peers {
		if n.State == memberlist.StateDead || n.State == memberlist.StateLeft {
			continue
		}
		if err := d.g.admit(n); errors.Is(err, ErrOtherCluster) {
			return err
		}
	}
	return nil
}

// admit returns nil if n may be a member.
func (g *Gossip) admit(n *memberlist.Node) error {
	m, err := memberOf(n)
	if err != nil {
		g.counts.members[ForMeta].Add(1)
		return err
	}
	if m.Boot == g.cfg.Boot {
		return nil
	}
	present, room := g.table.admits(m.Boot)
	if ours := g.Meta().Cluster; !mayMeet(ours, m.Meta.Cluster) {
		g.counts.members[ForCluster].Add(1)
		err := &MismatchError{Ours: ours, Theirs: m.Meta.Cluster, Peer: m.Boot, Addr: m.Addr}
		if !present {
			// One that is present is not given up on hearsay, which anybody
			// can send.
			g.refusals.add(m.Boot, m.Addr, err, time.Now())
		}
		return err
	}
	if !room {
		g.counts.members[ForRoom].Add(1)
		return fmt.Errorf("%w: %d are present", ErrTooManyMembers, g.cfg.MaxMembers)
	}
	return nil
}

// NotifyJoin is told of a member that is present.
func (d delegates) NotifyJoin(n *memberlist.Node) { d.g.present(n) }

// NotifyUpdate is told of a member that announces something else.
func (d delegates) NotifyUpdate(n *memberlist.Node) { d.g.present(n) }

func (g *Gossip) present(n *memberlist.Node) {
	m, err := memberOf(n)
	if err != nil || !mayMeet(g.Meta().Cluster, m.Meta.Cluster) {
		return // it was refused
	}
	if m.Boot == g.cfg.Boot {
		m.Confirmed = m.Since
	}
	g.lost.remove(m.Addr) // first: who sees the change may look at both
	g.table.put(m)
}

// NotifyLeave is told of a member that left or died: of which of the two,
// memberlist does not say.
func (d delegates) NotifyLeave(n *memberlist.Node) {
	boot, err := idspace.ParseBootID(n.Name)
	if err != nil || boot == d.g.cfg.Boot {
		return
	}
	m, ok := d.g.table.get(boot)
	if ok && m.Meta.State != StateDraining {
		d.g.lost.add(m.Addr, time.Now()) // first: who sees the change may look at both
	}
	d.g.table.remove(boot)
}

// NotifyPingComplete is told of a member that answered a packet.
func (d delegates) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	if boot, err := idspace.ParseBootID(n.Name); err == nil {
		d.g.table.confirm(boot, time.Now())
	}
}

// AckPayload adds nothing to answers.
func (delegates) AckPayload() []byte { return nil }

// NotifyMsg ignores messages, of which there are none.
func (delegates) NotifyMsg([]byte) {}

// GetBroadcasts has nothing to send.
func (delegates) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState adds nothing to exchanges.
func (delegates) LocalState(bool) []byte { return nil }

// MergeRemoteState ignores what others add.
func (delegates) MergeRemoteState([]byte, bool) {}
