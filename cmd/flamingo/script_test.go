package main

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/idspace"
	"flamingo/node/nodetest"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// The transcripts in testdata/script run this very binary as flamingo. What
// they say of a command is what its user sees.

var update = flag.Bool("update", false, "write the output of commands into the transcripts")

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"flamingo": main})
}

// leakChecked are tests that leave no goroutine. They give them some seconds to
// end: for as long as that, gossip may wait for the answer to a last question
// when its node is closed.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	end := time.Now().Add(patience / 3)
	err := goleak.Find()
	for err != nil && time.Now().Before(end) { // it waits a while itself
		err = goleak.Find()
	}
	if code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestTranscripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("they send signals")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", "atexit_sleep_ms=10") // instead of a second for each command
			env.Values[clientsKey{}] = make(map[string]*scriptClient)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ports":    scriptPorts,
			"occupy":   scriptOccupy,
			"promised": scriptPromised,
			"exits":    scriptExits,
			"until":    scriptUntil,
			"poll":     scriptPoll,
			"signal":   scriptSignal,
			"client":   scriptConnect,
			"say":      scriptSay,
			"hear":     scriptHear,
			"end":      scriptEnd,
			"fill":     scriptFill,
		},
	})
}

// scriptPorts sets each variable to the port of a free triple that is 10 and
// 80 below two others: ports NAME... A number in place of a name asks for as
// many triples, 100 apart: ports NAME 3.
func scriptPorts(ts *testscript.TestScript, _ bool, args []string) {
	for i, name := range args {
		if _, err := strconv.Atoi(name); err == nil {
			continue
		}
		nodes := 1
		if i+1 < len(args) {
			nodes = max(nodes, atoi(args[i+1]))
		}
		first, release, err := findPorts(nodes)
		ts.Check(err)
		ts.Defer(release)
		for n := range nodes {
			suffix := ""
			if nodes > 1 {
				suffix = strconv.Itoa(n + 1)
			}
			port := first + n*portStep
			ts.Setenv(name+suffix, strconv.Itoa(port))
			ts.Setenv(name+suffix+"_CLUSTER", strconv.Itoa(port+clusterPort))
			ts.Setenv(name+suffix+"_ADMIN", strconv.Itoa(port+adminPort))
		}
	}
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// findPorts returns the first client port of so many nodes whose ports are free
// until release is called.
func findPorts(nodes int) (first int, release func(), err error) {
	var offsets []int
	for n := range nodes {
		for _, offset := range []int{0, clusterPort, adminPort} {
			offsets = append(offsets, n*portStep+offset)
		}
	}
	return nodetest.FreePorts(offsets...)
}

// scriptOccupy listens on a port until the end: occupy PORT.
func scriptOccupy(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", loopback(atoi(args[0])))
	ts.Check(err)
	ts.Defer(func() { ln.Close() })
}

// scriptExits runs a command that ends with an exit code: exits CODE COMMAND...
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	if got, want := exitOf(ts, args[1:]), atoi(args[0]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptUntil runs a command again until it ends with that code: until CODE
// COMMAND...
func scriptUntil(ts *testscript.TestScript, _ bool, args []string) {
	want := atoi(args[0])
	eventually(ts, "exit code "+args[0], func() bool { return exitOf(ts, args[1:]) == want })
}

func exitOf(ts *testscript.TestScript, command []string) int {
	err := ts.Exec(command[0], command[1:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// eventually waits for a state that no event tells of.
func eventually(ts *testscript.TestScript, what string, ok func() bool) {
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// scriptPoll gets a URL until it answers with the status, and a body that
// matches: poll STATUS URL [REGEXP].
func scriptPoll(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(strings.Join(args[2:], " "))
	client := http.Client{Timeout: patience}
	seen := "no answer"
	defer func() { ts.Logf("%s", seen) }()
	eventually(ts, strings.Join(args, " "), func() bool {
		resp, err := client.Get("http://" + args[1])
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		seen = fmt.Sprintf("%d %s", resp.StatusCode, body)
		return err == nil && resp.StatusCode == atoi(args[0]) && pattern.Match(body)
	})
}

// scriptSignal sends a signal to the background commands that have the word
// among their arguments: signal TERM WORD.
func scriptSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt, "KILL": os.Kill}
	sent := false
	for _, cmd := range ts.BackgroundCmds() {
		if slices.Contains(cmd.Args, args[1]) {
			ts.Check(cmd.Process.Signal(signals[args[0]]))
			sent = true
		}
	}
	if !sent {
		ts.Fatalf("no background command has the argument %s", args[1])
	}
}

// A scriptClient is a client of a node, in the process of the test.
type scriptClient struct {
	net.Conn
	in *bufio.Reader
}

type clientsKey struct{}

func clientOf(ts *testscript.TestScript, name string) *scriptClient {
	c := ts.Value(clientsKey{}).(map[string]*scriptClient)[name]
	if c == nil {
		ts.Fatalf("no client is named %s", name)
	}
	return c
}

// scriptConnect connects a client, sets the variable NAME to the id that it is
// greeted with, NAME_NODE to the node number in it, and names it so: client
// NAME ADDRESS.
func scriptConnect(ts *testscript.TestScript, _ bool, args []string) {
	d := net.Dialer{Timeout: patience, Control: smallReceiveBuffer}
	nc, err := d.DialContext(context.Background(), "tcp", args[1])
	ts.Check(err)
	ts.Defer(func() { nc.Close() })
	ts.Check(nc.SetDeadline(time.Now().Add(patience)))
	c := &scriptClient{nc, bufio.NewReader(nc)}
	ts.Value(clientsKey{}).(map[string]*scriptClient)[args[0]] = c
	greeting, err := c.in.ReadString('\n')
	ts.Check(err)
	id, err := idspace.ParseID(strings.TrimPrefix(strings.TrimSpace(greeting), greetingPrefix))
	ts.Check(err)
	ts.Setenv(args[0], id.String())
	ts.Setenv(args[0]+"_NODE", id.Node().String())
}

// scriptSay sends a line: say CLIENT WORD...
func scriptSay(ts *testscript.TestScript, _ bool, args []string) {
	_, err := fmt.Fprintln(clientOf(ts, args[0]), strings.Join(args[1:], " "))
	ts.Check(err)
}

// scriptHear waits for a line: hear CLIENT WORD...
func scriptHear(ts *testscript.TestScript, _ bool, args []string) {
	line, err := clientOf(ts, args[0]).in.ReadString('\n')
	ts.Check(err)
	if want := strings.Join(args[1:], " "); strings.TrimSuffix(line, "\n") != want {
		ts.Fatalf("%s hears %q, want %q", args[0], line, want)
	}
}

// scriptEnd waits for the end of a connection: end CLIENT.
func scriptEnd(ts *testscript.TestScript, _ bool, args []string) {
	if rest, err := io.ReadAll(clientOf(ts, args[0]).in); err != nil || len(rest) > 0 {
		ts.Fatalf("%s hears %q and %v, want the end", args[0], rest, err)
	}
}

// scriptFill writes a file of so many letters: fill FILE BYTES.
func scriptFill(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat("x", atoi(args[1]))), 0o600))
}

// scriptPromised has the stopped node of a data directory promise a server that
// is nowhere to found a cluster, and sets CLUSTER, PROPOSER and SERVER to the
// ids of the promise: promised DIR.
func scriptPromised(ts *testscript.TestScript, _ bool, args []string) {
	store, err := consensus.OpenStore(consensus.StoreConfig{Dir: ts.MkAbs(args[0]), Boot: idspace.BootID{1}, Random: crand.Reader})
	ts.Check(err)
	defer store.Close()
	own, nowhere := store.Identity().Server, idspace.ServerID{15: 1} // the lowest of ids
	p := consensus.Proposal{Cluster: idspace.ClusterID{15: 1}, Proposer: nowhere, Servers: []idspace.ServerID{nowhere, own}}
	ans, err := store.Promise(p)
	ts.Check(err)
	if !ans.Granted {
		ts.Fatalf("%s promises nothing: %+v", args[0], ans)
	}
	ts.Setenv("CLUSTER", p.Cluster.String())
	ts.Setenv("PROPOSER", p.Proposer.String())
	ts.Setenv("SERVER", own.String())
}
