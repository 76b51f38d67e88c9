package test

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flamingo/node"
)

const (
	restartVariable = "FLAMINGO_TEST_RESTART" // set in the process that is killed
	restartDir      = "FLAMINGO_TEST_RESTART_DIR"
)

// TestHelperProcessIssuesIDs is the life of a node that is killed.
func TestHelperProcessIssuesIDs(t *testing.T) {
	if os.Getenv(restartVariable) == "" {
		t.Skip("runs in a process of its own only")
	}
	n, err := node.Open(node.Opts{
		Listen:  []string{"tcp://127.0.0.1:0"},
		Framing: "line",
		DataDir: os.Getenv(restartDir),
		Ignore:  node.IgnoreCloses,
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(os.Stdout, "address", n.Addrs()[0])
	for id := range n.Opens() {
		fmt.Fprintln(os.Stdout, "id", id)
		_ = n.SendData(id, []byte(id.String()))
	}
}

func TestIDsNeverRepeatOverRestarts(t *testing.T) {
	for name, dir := range map[string]string{"without a data directory": "", "with a data directory": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]int{}
			for life := range 200 {
				for id := range liveAndDie(t, dir) {
					if before, ok := seen[id]; ok {
						t.Fatalf("id %s in life %d and in life %d", id, before, life)
					}
					seen[id] = life
				}
			}
			if len(seen) < 200 {
				t.Errorf("%d ids in 200 lives", len(seen))
			}
		})
	}
}

// liveAndDie starts a node, connects to it, kills it at some moment and
// returns every id that it or a client has told.
func liveAndDie(t *testing.T, dir string) map[string]bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperProcessIssuesIDs$")
	cmd.Env = append(os.Environ(), restartVariable+"=1", restartDir+"="+dir)
	p := startProcess(t, cmd)
	ids := map[string]bool{}
	if rand.IntN(10) == 0 { // in the middle of its start
		<-time.After(rand.N(80 * time.Millisecond))
	} else {
		address := strings.TrimPrefix(p.awaitLine(t, "address "), "address ")
		for range 1 + rand.IntN(5) {
			nc, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if rand.IntN(3) > 0 { // else the kill may come first
				line, err := bufio.NewReader(nc).ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				ids[strings.TrimSpace(line)] = true
			}
		}
	}
	_ = p.Process.Kill()
	printed := map[string]bool{}
	for line := range p.lines {
		if id, ok := strings.CutPrefix(line, "id "); ok {
			if printed[id] {
				t.Fatalf("id %s twice in one life", id)
			}
			printed[id], ids[id] = true, true
		}
	}
	_ = p.Wait()
	return ids
}
