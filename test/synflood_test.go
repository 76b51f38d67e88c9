//go:build e2e && linux

package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamingo/node"
)

// A flood of connection requests whose senders do not exist, from the far end of
// a veth pair. The node's end is in the network of the test's own process, the
// far end in that of a child of it, with the honest clients. Neither network has
// a name: they go with their processes, however these end.

const (
	insideAddr  = "10.99.0.1"
	outsideAddr = "10.99.0.2"

	// outsideTarget tells the process outside where the node listens.
	outsideTarget = "FLAMINGO_TEST_FLOOD"

	// enoughSYNs is many times what the queues of the listener hold.
	enoughSYNs = 20_000

	floodConns = 64 // that the listener takes at once
)

func TestHonestClientsAreServedDuringASYNFlood(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	if target := os.Getenv(outsideTarget); target != "" {
		floodFromOutside(t, target)
		return
	}
	command(t, "ip", "link", "add", "inside", "type", "veth", "peer", "name", "outside")
	command(t, "ip", "addr", "add", insideAddr+"/24", "dev", "inside")
	command(t, "ip", "link", "set", "inside", "up")
	n, err := node.Open(node.Opts{Listen: []string{fmt.Sprintf("tcp://%s:0?framing=line&backlog=64&max-conns=%d", insideAddr, floodConns)}})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		echoes := node.HandlerFuncs{Data: func(id node.ID, msg []byte) {
			if err := n.SendData(id, msg); err != nil && !errors.Is(err, node.ErrGone) {
				t.Errorf("answer to %v: %v", id, err)
			}
		}}
		if err := n.Serve(context.Background(), echoes, 2); err != nil { // until n is closed
			t.Error(err)
		}
	})
	defer func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
		serving.Wait()
	}()

	// The first client has everything set up that is kept.
	addr := n.Addrs()[0].String()
	dialAndEcho(t, addr, "first").Close()
	until(t, "the first client to be gone", func() bool { return n.Stats().Connections == 0 })
	before := holdings(t)

	out := floodFrom(t, addr)
	var served, sent int
	if _, err := fmt.Sscanf(out[max(0, strings.Index(out, "served ")):], "served %d sent %d", &served, &sent); err != nil {
		t.Fatalf("the process outside says %q: %v", out, err)
	}
	if full := tcpCounter(t, "TCPReqQFullDoCookies"); sent < enoughSYNs || full < enoughSYNs/2 {
		t.Errorf("%d requests sent, %d of them to a full queue: want %d and most of them", sent, full, enoughSYNs)
	}
	if tcpCounter(t, "SyncookiesRecv") == 0 {
		t.Error("no client has connected while the queue was full")
	}
	until(t, "all clients to be gone", func() bool { return n.Stats().Connections == 0 })
	until(t, fmt.Sprintf("no more than %+v held", before), func() bool {
		now := holdings(t)
		return now.files <= before.files && now.goroutines <= before.goroutines && now.registrations <= before.registrations
	})
	if st := n.Stats(); st.Accepted != uint64(served)+1 || st.Rejected > 0 || st.AcceptErrors > 0 {
		t.Errorf("%d clients were served; the node says %+v", served+1, st)
	}
}

// floodFrom runs the process outside against addr and returns what it prints.
func floodFrom(t *testing.T, addr string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), outsideTarget+"="+addr)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := sync.OnceValue(cmd.Wait)
	defer func() {
		cancel()
		_ = ended()
	}()
	command(t, "ip", "link", "set", "outside", "netns", strconv.Itoa(cmd.Process.Pid))
	// Answers to those who do not exist have a way out, too.
	command(t, "ip", "route", "add", "default", "via", outsideAddr)
	if _, err := io.WriteString(begin, "go\n"); err != nil {
		t.Fatal(err)
	}
	if err := ended(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &out)
	}
	return out.String()
}

// floodFromOutside sends the flood, and has honest clients come and go until
// enough of it was sent.
func floodFromOutside(t *testing.T, target string) {
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		t.Fatalf("waiting for the way in: %v", err)
	}
	command(t, "ip", "addr", "add", outsideAddr+"/24", "dev", "outside")
	command(t, "ip", "link", "set", "outside", "up")
	to := netip.MustParseAddrPort(target)

	served := 0
	connect := func(line string) net.Conn {
		served++
		return dialAndEcho(t, target, line)
	}
	var held []net.Conn // there before the flood
	for i := range floodConns / 2 {
		held = append(held, connect(fmt.Sprintf("held %d", i)))
	}

	ctx, cancel := context.WithCancel(t.Context())
	f := &synFlood{begun: make(chan struct{}), enough: make(chan struct{})}
	var flooding sync.WaitGroup
	flooding.Go(func() { f.run(ctx, t, to) })
	defer flooding.Wait()
	defer cancel()
	<-f.begun
	for i, done := 0, false; i < 100 || !done; i++ {
		connect(fmt.Sprintf("new %d", i)).Close()
		echo(t, held[i%len(held)], fmt.Sprintf("still here %d\n", i))
		select {
		case <-f.enough:
			done = true
		default:
		}
	}
	cancel()
	flooding.Wait()
	for _, nc := range held {
		nc.Close()
	}
	connect("after the flood").Close()
	t.Logf("served %d sent %d", served, f.sent)
}

// dialAndEcho connects as a client that has its line answered.
func dialAndEcho(t *testing.T, addr, line string) net.Conn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	echo(t, nc, line+"\n")
	return nc
}

// A synFlood sends connection requests, each from another sender.
type synFlood struct {
	begun, enough chan struct{} // closed by run; begun with a full queue

	sent int // owned by run
}

// run floods until ctx is done. Both channels are closed when it returns.
func (f *synFlood) run(ctx context.Context, t *testing.T, to netip.AddrPort) {
	begun := sync.OnceFunc(func() { close(f.begun) })
	enough := sync.OnceFunc(func() { close(f.enough) })
	defer begun()
	defer enough()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_RAW)
	if err != nil {
		t.Errorf("a raw socket: %v", err)
		return
	}
	defer syscall.Close(fd)
	rnd := rand.New(rand.NewPCG(1, 2))
	way := &syscall.SockaddrInet4{Addr: to.Addr().As4()}
	for ctx.Err() == nil {
		switch err := syscall.Sendto(fd, spoofedSYN(rnd, to), 0, way); {
		case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			t.Errorf("request %d: %v", f.sent, err)
			return
		}
		switch f.sent++; f.sent {
		case 1000:
			begun()
		case enoughSYNs:
			enough()
		}
	}
}

// spoofedSYN is a packet that asks for a connection from a sender at random in
// 198.18.0.0/15, which is for tests of networks. The kernel fills in the length
// and the checksum of the IP header.
func spoofedSYN(rnd *rand.Rand, to netip.AddrPort) []byte {
	const ipLen, tcpLen = 20, 20
	p := make([]byte, ipLen+tcpLen)
	dst := to.Addr().As4()
	p[0], p[8], p[9] = 4<<4|ipLen/4, 64, syscall.IPPROTO_TCP
	binary.BigEndian.PutUint32(p[12:], 198<<24|18<<16|rnd.Uint32N(1<<17))
	copy(p[16:], dst[:])

	tcp := p[ipLen:]
	binary.BigEndian.PutUint16(tcp, 1024+uint16(rnd.UintN(1<<16-1024)))
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], rnd.Uint32())
	tcp[12], tcp[13] = tcpLen/4<<4, 0x02 // SYN
	binary.BigEndian.PutUint16(tcp[14:], 65535)

	sum := uint32(syscall.IPPROTO_TCP + tcpLen) // of the pseudo header: protocol, length, both addresses
	for b := p[12:]; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(sum))
	return p
}

// A holding is what a process has: open files, goroutines, and files that an
// epoll instance watches.
type holding struct{ files, goroutines, registrations int }

func holdings(t *testing.T) holding {
	t.Helper()
	h := holding{files: files(t), goroutines: runtime.NumGoroutine()}
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range infos {
		if info, err := os.ReadFile(name); err == nil { // the list itself was one
			h.registrations += bytes.Count(info, []byte("tfd:"))
		}
	}
	return h
}

// tcpCounter returns a counter of the kernel for this network.
func tcpCounter(t *testing.T, name string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/net/netstat")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, got := range names {
			if got == name {
				v, err := strconv.Atoi(fields[i])
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
	}
	t.Fatalf("the kernel does not count %s", name)
	return 0
}
