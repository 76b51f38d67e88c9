package transport_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"flamingo/transport"
)

// asChild names, in the environment, the test that runs in a process of its own.
const asChild = "FLAMINGO_TEST_CHILD"

// inOwnProcess runs the test again in a process of its own, and reports
// whether this is that process.
func inOwnProcess(t *testing.T) bool {
	t.Helper()
	if os.Getenv(asChild) == t.Name() {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	child := exec.CommandContext(limit(t), os.Args[0], "-test.run="+pattern, "-test.count=1", "-test.v")
	child.Env = append(os.Environ(), asChild+"="+t.Name())
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %v\n%s", child, err, out)
	}
	return false
}

// A lineBook is a writer for a logger that hands out its lines.
type lineBook chan string

func (b lineBook) Write(p []byte) (int, error) {
	select {
	case b <- string(p):
	default:
	}
	return len(p), nil
}

func (b lineBook) await(tb testing.TB, text string) {
	tb.Helper()
	for {
		select {
		case line := <-b:
			if strings.Contains(line, text) {
				return
			}
		case <-limit(tb).Done():
			tb.Fatalf("the log never said %q", text)
		}
	}
}

func TestAcceptingPausesWithoutFilesAndDoesNotSpin(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			if inOwnProcess(t) {
				acceptWithoutFiles(t, driver.configure)
			}
		})
	}
}

func acceptWithoutFiles(t *testing.T, configure func(*transport.Config)) {
	book := make(lineBook, 100)
	tr, _ := serve(t, func(c *transport.Config) { configure(c); c.Logger = slog.New(slog.NewTextHandler(book, nil)) })
	connect(t, tr)
	if _, ok := tr.RecvOpen(); !ok {
		t.Fatal("no connection")
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	free, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	scarce := syscall.Rlimit{Cur: uint64(free.Fd()) + 1, Max: files.Max} // one more: the client's
	free.Close()
	begin := time.Now()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &scarce); err != nil {
		t.Fatal(err)
	}
	waiting := connect(t, tr)
	book.await(t, "too many open files")
	// One try in 100 ms, and the first.
	if pauses, most := tr.Stats().AcceptPauses, uint64(time.Since(begin)/(100*time.Millisecond))+1; pauses < 2 || pauses > most {
		t.Errorf("accepting paused %d times; want 2 to %d", pauses, most)
	}
	if _, ok := tr.TryRecvOpen(); ok {
		t.Error("a connection without a file")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	c, ok := tr.RecvOpen()
	if !ok || c.RemoteAddr().String() != waiting.LocalAddr().String() {
		t.Errorf("connection %v, %v; want the one that waited", c, ok)
	}
	book.await(t, "accepting again")
}

func TestProcessWithFewFilesGoesOn(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			if inOwnProcess(t) {
				attackWithFewFiles(t, driver.configure)
			}
		})
	}
}

// attackWithFewFiles opens connections until the process has no file left, three
// times.
func attackWithFewFiles(t *testing.T, configure func(*transport.Config)) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	files.Cur = 256
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	book := make(lineBook, 100)
	v := newVictim(t, "", func(c *transport.Config) {
		configure(c)
		c.Logger = slog.New(slog.NewTextHandler(book, nil))
	})
	book.await(t, "the limit of open files is too low")
	for range 3 {
		var all []net.Conn
		for {
			nc, err := net.Dial("tcp", v.Addrs()[0].String())
			if err != nil {
				if !errors.Is(err, syscall.EMFILE) {
					t.Fatal(err)
				}
				break
			}
			all = append(all, nc)
		}
		for _, nc := range all {
			nc.Close()
		}
	}
	v.settle()
}
