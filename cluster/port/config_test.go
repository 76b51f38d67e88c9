package port_test

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"flamingo/cluster/port"
)

func TestNewNamesEveryFault(t *testing.T) {
	_, err := port.New(port.Config{
		Addr:            netip.MustParseAddrPort("10.1.2.3:4110"),
		ClassifyTimeout: -1,
		MaxUnclassified: -2,
		QueueLen:        1 << 20,
		PacketQueueLen:  -3,
	})
	if !errors.Is(err, port.ErrBadConfig) || !errors.Is(err, port.ErrInsecure) {
		t.Fatalf("New = %v, want ErrBadConfig and ErrInsecure", err)
	}
	for _, want := range []string{
		"Addr 10.1.2.3:4110", "127.0.0.0/8 and ::1", "Insecure", "ClassifyTimeout -1ns",
		"MaxUnclassified -2", "QueueLen 1048576", "PacketQueueLen -3",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want it to name %q", err, want)
		}
	}
}

func TestClearTextStaysOnLoopback(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:1":            true,
		"127.9.9.9:0":            true,
		"[::1]:1":                true,
		"[::ffff:127.0.0.1]:1":   true,
		"0.0.0.0:1":              false,
		"[::]:1":                 false,
		"192.168.0.1:1":          false,
		"[::ffff:192.168.0.1]:1": false,
	} {
		_, err := port.New(port.Config{Addr: netip.MustParseAddrPort(addr)})
		if (err == nil) != ok || (err != nil && !errors.Is(err, port.ErrInsecure)) {
			t.Errorf("New on %s = %v, want allowed: %t", addr, err, ok)
		}
		if _, err := port.New(port.Config{Addr: netip.MustParseAddrPort(addr), Insecure: true}); err != nil {
			t.Errorf("New on %s with Insecure = %v", addr, err)
		}
	}
	p, err := port.New(port.Config{})
	if err != nil {
		t.Fatal(err)
	}
	far := netip.MustParseAddrPort("192.0.2.1:4110")
	if _, err := p.Dial(t.Context(), far, port.Gossip); !errors.Is(err, port.ErrInsecure) {
		t.Errorf("Dial %v = %v, want ErrInsecure", far, err)
	}
	if err := packetsOf(t, running{Port: p}).WriteTo(nil, far); !errors.Is(err, port.ErrInsecure) {
		t.Errorf("WriteTo %v = %v, want ErrInsecure", far, err)
	}
}

func TestOnePortOnRealSockets(t *testing.T) {
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	a, b := start(t, port.Config{Addr: loopback}), start(t, port.Config{Addr: loopback})
	s := claim(t, b, port.Mesh)
	near, err := a.Dial(t.Context(), b.Addr(), port.Mesh)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if _, err := io.WriteString(near, "hello"); err != nil {
		t.Fatal(err)
	}
	far, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	got := make([]byte, 5)
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v, want hello", got, err)
	}

	pa, pb := packetsOf(t, a), packetsOf(t, b)
	if err := pa.WriteTo([]byte("packet"), b.Addr()); err != nil {
		t.Fatal(err)
	}
	if got, err := pb.ReadFrom(); err != nil || string(got.Data) != "packet" || got.From != a.Addr() {
		t.Errorf("ReadFrom = %+v, %v, want \"packet\" from %v", got, err, a.Addr())
	}
}
