package nodetest_test

import (
	"io"
	"net"
	"strconv"
	"testing"

	"flamingo/node/nodetest"
)

func TestNoPortIsGivenTwiceWhileItIsTaken(t *testing.T) {
	seen := map[string]bool{}
	for _, addr := range nodetest.FreeAddrs(t, 300) {
		if seen[addr] {
			t.Fatalf("%s twice", addr)
		}
		seen[addr] = true
	}
	for range 3000 { // more than there are, unless they come back
		port, release, err := nodetest.FreePorts(0, 10, 80)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []int{0, 10, 80} {
			if addr := address(port + o); seen[addr] {
				t.Fatalf("%s is that of another", addr)
			}
		}
		release()
	}
}

func TestPortInUseIsNotGiven(t *testing.T) {
	ours := map[int]bool{}
	for _, listen := range []func(addr string) (io.Closer, error){
		func(addr string) (io.Closer, error) { return net.Listen("tcp", addr) },
		func(addr string) (io.Closer, error) { return net.ListenPacket("udp", addr) },
	} {
		port, release, err := nodetest.FreePorts(0)
		if err != nil {
			t.Fatal(err)
		}
		ln, err := listen(address(port))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ours[port] = true
		release() // from here on only the listener keeps it
	}
	for range 1000 { // until none is left
		port, release, err := nodetest.FreePorts(0)
		if err != nil {
			return
		}
		defer release()
		if ours[port] {
			t.Errorf("port %d is in use", port)
		}
	}
	t.Error("a thousand ports of 999")
}

func TestOffsetThatFitsNowhereIsRefused(t *testing.T) {
	if port, _, err := nodetest.FreePorts(0, 999); err == nil {
		t.Errorf("port %d, and one 999 above it", port)
	}
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
