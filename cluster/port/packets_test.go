package port_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"flamingo/cluster/port"
	"flamingo/cluster/port/porttest"
)

func packetsOf(t *testing.T, p running) *port.Packets {
	t.Helper()
	c, err := p.Packets()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPacketsGoBothWays(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
		b := start(t, port.Config{Addr: addrB, Network: network.Host(hostB)})
		pa, pb := packetsOf(t, a), packetsOf(t, b)
		if err := pa.WriteTo([]byte("there"), addrB); err != nil {
			t.Fatal(err)
		}
		got, err := pb.ReadFrom()
		if err != nil || string(got.Data) != "there" || got.From != addrA || got.At.IsZero() {
			t.Errorf("ReadFrom = %+v, %v, want \"there\" from %v", got, err, addrA)
		}
		if err := pb.WriteTo([]byte("back"), got.From); err != nil {
			t.Fatal(err)
		}
		if got, err := pa.ReadFrom(); err != nil || string(got.Data) != "back" {
			t.Errorf("ReadFrom = %+v, %v, want \"back\"", got, err)
		}
	})
}

func TestPacketsOverTheBoundAreDropped(t *testing.T) {
	bubble(t, port.Config{PacketQueueLen: 2}, func(t *testing.T, a running, network *porttest.Network) {
		b := start(t, port.Config{Addr: addrB, Network: network.Host(hostB)})
		pb := packetsOf(t, b)
		send := func(n int) {
			t.Helper()
			for range n {
				if err := pb.WriteTo([]byte{1}, addrA); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		send(3)
		packetsOf(t, a)
		send(5)
		c := a.Counts()
		if c.PacketsDropped[port.Absent] != 3 || c.PacketsDropped[port.Full] != 3 || c.PacketsReceived != 8 {
			t.Errorf("counts = %+v, want 8 received, 3 absent, 3 full", c)
		}
	})
}

func TestPacketsNeedASocket(t *testing.T) {
	p, err := port.New(port.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := packetsOf(t, running{Port: p})
	if err := c.WriteTo([]byte{1}, addrB); !errors.Is(err, port.ErrNotListening) {
		t.Errorf("WriteTo before Listen = %v, want ErrNotListening", err)
	}
}
