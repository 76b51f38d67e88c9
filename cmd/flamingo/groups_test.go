package main

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flamingo/node"
	"flamingo/node/admin"
)

// A member of a group is made, sent to and closed by commands alone.
func TestGroupsFromTheCommandLine(t *testing.T) {
	n, err := node.Open(node.Opts{Listen: []string{"tcp://127.0.0.1:0"}, Framing: "line", Ignore: node.IgnoreCloses, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h, err := admin.New(admin.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h.Attach(n)
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.Close(ctx) // whatever is left
	})
	nc, err := net.Dial("tcp", n.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	opened, _ := n.RecvOpen()
	id := opened.String()

	expect := func(want string, args ...string) {
		t.Helper()
		out, talk, code := command(t.Context(), append(args, "--addr", server.URL)...)
		if out != want || code != 0 {
			t.Errorf("%v: prints %q, says %q, exit code %d; want %q", args, out, talk, code, want)
		}
	}
	expect(id+" joined room/7\n", "groups", "join", id, "room/7")
	expect("GROUP   MEMBERS\nroom/7  1\n", "groups")
	expect(id+"\n", "groups", "show", "room/7")
	expect(`{"group":"room/7","id":"`+id+`","outcome":"joined"}`+"\n", "groups", "join", "--json", id, "room/7")
	expect("published to room/7: 0 members here, 0 other nodes\n", "publish", "room/7", "not you", "--except", id)
	expect("published to room/7: 1 members here, 0 other nodes\n", "publish", "room/7", "hello")
	if line, err := bufio.NewReader(nc).ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("the client read %q, %v", line, err)
	}
	expect(id+" left room/7\n", "groups", "leave", id, "room/7")
	expect("closed room/7: 0 members here, 0 other nodes\n", "groups", "close", "room/7")
	expect(id+" joined a b\n", "groups", "join", id, "a b")
	expect("closed a b: 1 members here, 0 other nodes\n", "groups", "close", "a b")

	out, talk, code := command(t.Context(), "groups", "join", id, "a", "--addr", server.URL)
	if out != "" || code != 3 || !strings.Contains(talk, "gone") {
		t.Errorf("a connection that is gone: prints %q, says %q, exit code %d", out, talk, code)
	}
}

func TestNodesThatFailedAreNamed(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"group":"g","local":2,"refused":1,"nodes":1,"failed":[{"node":"cedar","number":"01adc9000","problem":"unreachable"}]}` + "\n"))
	}
	out, talk, code := flamingo(t, answer, "publish", "g", "hello")
	if out != "published to g: 2 members here, 1 other nodes; 1 members here did not take it\n" ||
		talk != "flamingo: not reached: node cedar (01adc9000): unreachable\n" || code != 0 {
		t.Errorf("prints %q, says %q, exit code %d", out, talk, code)
	}
}
