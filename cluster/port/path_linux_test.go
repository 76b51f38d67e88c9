package port_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"flamingo/cluster/port"

	"golang.org/x/sys/unix"
)

// userTimeout returns TCP_USER_TIMEOUT of c, in milliseconds.
func userTimeout(t *testing.T, c net.Conn) (ms int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) {
		ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return ms
}

func TestStreamsOfADeadPathEndInSeconds(t *testing.T) {
	n := port.DefaultNetwork()
	ln, err := n.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := n.Dial(t.Context(), ln.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	for end, c := range map[string]net.Conn{"dialed": dialed, "accepted": accepted} {
		if got := userTimeout(t, c); got != 10_000 {
			t.Errorf("%s: the user timeout is %d ms, want 10000", end, got)
		}
	}
}
