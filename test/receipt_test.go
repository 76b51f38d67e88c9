//go:build e2e && linux

package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"flamingo/node"
)

// What the client's system sends back is dropped: it has the message, and the node
// does not know. Once it comes through, it does.
func TestWhatIsNotAcknowledgedIsUncertain(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	n, err := node.Open(node.Opts{Listen: []string{"tcp://127.0.0.1:0?framing=line"}, Ignore: node.IgnoreCloses})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	nc, err := net.Dial("tcp", n.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	id, _ := n.RecvOpen()
	send := func(timeout time.Duration, msg string) error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return n.SendAcked(ctx, id, []byte(msg))
	}
	if err := send(patience, "first"); err != nil {
		t.Fatalf("SendAcked: %v", err)
	}
	port := n.Addrs()[0].(*net.TCPAddr).AddrPort().Port()
	command(t, "nft", "add table inet lost")
	command(t, "nft", "add chain inet lost out { type filter hook output priority 0; }")
	command(t, "nft", "add rule inet lost out tcp dport "+fmt.Sprint(port)+" drop")
	if err := send(time.Second, "second"); !errors.Is(err, node.ErrUncertain) {
		t.Errorf("SendAcked while nothing comes back: %v; want %v", err, node.ErrUncertain)
	}
	lines := bufio.NewScanner(nc)
	for _, want := range []string{"first", "second"} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("the client read %q, %v; want %q", lines.Text(), lines.Err(), want)
		}
	}
	command(t, "nft", "delete table inet lost")
	if err := send(patience, "third"); err != nil {
		t.Errorf("SendAcked when it comes back again: %v", err)
	}
}
