package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flamingo/cluster/gossip"
)

func TestNewNamesEveryFault(t *testing.T) {
	good := goodConfig(t)
	if _, err := gossip.New(good); err != nil {
		t.Fatalf("New = %v", err)
	}
	bad := good
	bad.Boot = [16]byte{}
	bad.ClusterName = strings.Repeat("x", 65)
	bad.Meta = gossip.Meta{}
	bad.Seeds = []string{"host:x", "host", "dns:"}
	bad.Timing = gossip.Timing{Probe: time.Second, ProbeTimeout: 2 * time.Second}
	bad.MaxMembers, bad.LeaveTimeout, bad.UpdateTimeout = -1, -1, time.Hour
	_, err := gossip.New(bad)
	if !errors.Is(err, gossip.ErrBadConfig) || !errors.Is(err, gossip.ErrBadSeed) || !errors.Is(err, gossip.ErrBadMeta) {
		t.Fatalf("New = %v, want ErrBadConfig, ErrBadSeed and ErrBadMeta", err)
	}
	for _, want := range []string{
		"Boot", "ClusterName", "Meta", "Name", "MinVersion", `"host:x"`, `"dns:"`,
		"Timing.Gossip 0s", "ProbeTimeout 2s: want less than Probe", "Timing.Suspicion 0",
		"MaxMembers -1", "LeaveTimeout -1ns", "UpdateTimeout 1h0m0s",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want it to name %q", err, want)
		}
	}
}

func TestNewWantsAnAddressOthersCanDial(t *testing.T) {
	for name, change := range map[string]func(*gossip.Config){
		"no port":           func(c *gossip.Config) { c.Port = nil },
		"does not listen":   func(c *gossip.Config) { c.Advertise = netip.AddrPort{} },
		"all interfaces":    func(c *gossip.Config) { c.Advertise = netip.MustParseAddrPort("0.0.0.0:1") },
		"port 0":            func(c *gossip.Config) { c.Advertise = netip.MustParseAddrPort("10.0.0.1:0") },
		"zone":              func(c *gossip.Config) { c.Advertise = netip.MustParseAddrPort("[fe80::1%eth0]:1") },
		"address in a meta": func(c *gossip.Config) { c.Meta.Address = netip.MustParseAddrPort("10.0.0.1:1") },
	} {
		cfg := goodConfig(t)
		change(&cfg)
		if _, err := gossip.New(cfg); !errors.Is(err, gossip.ErrBadConfig) {
			t.Errorf("%s: New = %v, want ErrBadConfig", name, err)
		}
	}
}

func TestTimingProfilesAreValid(t *testing.T) {
	for name, timing := range map[string]gossip.Timing{"lan": gossip.LAN(), "fast": gossip.Fast()} {
		cfg := goodConfig(t)
		cfg.Timing = timing
		if _, err := gossip.New(cfg); err != nil {
			t.Errorf("%s: New = %v", name, err)
		}
	}
}

func TestLostMembersAreBounded(t *testing.T) {
	l := gossip.NewLost()
	begin := time.Now()
	for i := range 2 * gossip.MaxLost {
		l.Add(addrOf(i), begin.Add(time.Duration(i)))
	}
	got := l.Addrs()
	if len(got) != gossip.MaxLost || l.Forgotten() != gossip.MaxLost {
		t.Errorf("remembers %d and forgot %d, want %d each", len(got), l.Forgotten(), gossip.MaxLost)
	}
	for _, a := range got {
		if int(a.Port()) < gossip.MaxLost {
			t.Errorf("remembers %v, which was among the first", a)
		}
	}
}

func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(i))
}

func TestMemberlistIsQuiet(t *testing.T) {
	var out logBuffer
	h := gossip.NewBridge(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))
	logger := slog.NewLogLogger(h, slog.LevelDebug)
	for range 3 {
		logger.Print("[ERR] memberlist: discarding packet with unacceptable label")
		logger.Print("[WARN] memberlist: Was able to connect to x over TCP but UDP probes failed, network may be misconfigured")
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "UDP probes failed") ||
		!strings.Contains(got, "level=WARN") || !strings.Contains(got, "memberlist=WARN") {
		t.Errorf("log at level info = %q, want one warning of UDP", got)
	}

	var all logBuffer
	h = gossip.NewBridge(slog.NewTextHandler(&all, &slog.HandlerOptions{Level: slog.LevelDebug})).
		WithAttrs([]slog.Attr{slog.Int("a", 1)}).WithGroup("g")
	slog.NewLogLogger(h, slog.LevelDebug).Print("[DEBUG] memberlist: Stream connection from=x")
	if got := all.String(); !strings.Contains(got, `msg="Stream connection from=x" a=1 g.memberlist=DEBUG`) {
		t.Errorf("log at level debug = %q", got)
	}
	if !h.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("Enabled = false, want true")
	}
}

func TestValuesPrintAsWords(t *testing.T) {
	for got, want := range map[string]string{
		fmt.Sprint(gossip.RoleVoter, gossip.RoleNonvoter, gossip.RoleOutside, gossip.Role(9)):     "voter nonvoter outside role 9",
		fmt.Sprint(gossip.StateJoining, gossip.StateReady, gossip.StateDraining, gossip.State(9)): "joining ready draining state 9",
		fmt.Sprint(gossip.Joined, gossip.Updated, gossip.Gone, gossip.ChangeKind(9)):              "joined updated gone change 9",
		fmt.Sprint(gossip.ForCluster, gossip.ForStreams, gossip.Reason(99)):                       "cluster streams reason 99",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
