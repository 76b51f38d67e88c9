package flamingo_test

import (
	"bufio"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"flamingo"

	"go.uber.org/goleak"
)

// TestMain checks that no goroutine is left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient gives goroutines some seconds to end: for as long as that, gossip may
// wait for the answer to a last question when its node is closed.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	end := time.Now().Add(20 * time.Second)
	for goleak.Find() != nil && time.Now().Before(end) { // it waits a while itself
	}
	return code
}

func quiet() flamingo.Opts {
	return flamingo.Opts{
		Listen: []string{"tcp://127.0.0.1:0"},
		Ignore: flamingo.IgnoreOpens | flamingo.IgnoreCloses,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// panics returns the error that New panics with.
func panics(t *testing.T, opts flamingo.Opts) (err error) {
	t.Helper()
	defer func() { err, _ = recover().(error) }()
	n := flamingo.New(opts)
	t.Errorf("New took %+v", opts)
	n.Close(t.Context())
	return nil
}

func TestNewPanicsAndOpenReturnsWhenThePortIsTaken(t *testing.T) {
	n := flamingo.New(quiet())
	defer n.Close(t.Context())
	opts := quiet()
	opts.Listen = []string{"tcp://" + n.Addrs()[0].String()}
	panicked := panics(t, opts)
	_, returned := flamingo.Open(opts)
	for _, err := range []error{panicked, returned} {
		var opErr *net.OpError
		if !errors.As(err, &opErr) || !strings.Contains(err.Error(), n.Addrs()[0].String()) {
			t.Errorf("error %v; want that of the listener, with its address", err)
		}
	}
}

func TestNewPanicsAndOpenReturnsOnBadOptions(t *testing.T) {
	opts := quiet()
	opts.Loops = -1
	opts.Framing = "none"
	panicked := panics(t, opts)
	_, returned := flamingo.Open(opts)
	for _, err := range []error{panicked, returned} {
		if !errors.Is(err, flamingo.ErrBadOption) || !strings.Contains(err.Error(), "Loops") || !strings.Contains(err.Error(), "none") {
			t.Errorf("error %v; want one that names both options", err)
		}
	}
}

func TestNamesOfTheFrontDoorSuffice(t *testing.T) {
	n := flamingo.New(quiet())
	defer n.Close(t.Context())
	own := map[flamingo.NodeNumber]*flamingo.Node{n.Number(): n}
	reasons := make(chan flamingo.Reason, 1)
	var h flamingo.Handler = flamingo.HandlerFuncs{
		Open: func(_ flamingo.ID, conn net.Conn) { _ = conn.(*flamingo.Conn).SetNoDelay(true) },
		Data: func(id flamingo.ID, msg []byte) {
			if parsed, err := flamingo.ParseID(id.String()); err != nil || parsed != id || own[parsed.Node()] != n {
				t.Errorf("ParseID: %s, %v; want %s", parsed, err, id)
			}
			var info flamingo.ConnInfo
			info, err := n.Describe(t.Context(), id)
			if err != nil || info.ID != id {
				t.Errorf("Describe: %+v, %v", info, err)
			}
			_ = n.SendData(id, msg)
			_ = n.SendClose(id)
		},
		Close: func(_ flamingo.ID, why flamingo.Reason) { reasons <- why },
	}
	served := make(chan error, 1)
	go func() { served <- n.Serve(t.Context(), h, 1) }()
	nc, err := net.Dial("tcp", n.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(nc).ReadString('\n'); line != "hello\n" {
		t.Errorf("read %q, %v", line, err)
	}
	for _, st := range []flamingo.Stats{n.Stats()} {
		if st.Accepted != 1 || st.Closed[flamingo.ReasonClient] != 0 {
			t.Errorf("%+v", st)
		}
	}
	if _, err := flamingo.ParseID("no id"); !errors.Is(err, flamingo.ErrBadID) {
		t.Errorf("ParseID: %v", err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	var opErr *flamingo.OpError
	if err := n.SendData(0, nil); !errors.Is(err, flamingo.ErrBadID) || !errors.As(err, &opErr) {
		t.Errorf("SendData: %v", err)
	}
}
