package node_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamingo/framing"
	"flamingo/node"
	"flamingo/node/nodetest"
)

// openFails returns the error of Open, which must be a refusal of the options.
func openFails(t *testing.T, opts node.Opts) error {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	n, err := node.Open(opts)
	if err == nil {
		closeAtEnd(t, n)
		t.Fatal("Open took the options")
	}
	if !errors.Is(err, node.ErrBadOption) {
		t.Errorf("error does not match ErrBadOption: %v", err)
	}
	if checked := opts.Check(); checked == nil || checked.Error() != err.Error() {
		t.Errorf("Check says %v, Open %v", checked, err)
	}
	return err
}

// faults returns the single faults of an error that joins them.
func faults(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && fmt.Sprintf("%T", err) == "*errors.joinError" {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, faults(e)...)
		}
		return all
	}
	if inner := errors.Unwrap(err); inner != nil && len(faults(inner)) > 1 {
		return faults(inner)
	}
	return []error{err}
}

func ownCodec(t *testing.T) framing.Codec {
	t.Helper()
	codec, err := framing.Parse("netstring", nil)
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func TestOpenRefusesEachBadOptionByNameValueAndRange(t *testing.T) {
	codec := ownCodec(t)
	const over = 1<<30 + 1
	for _, c := range []struct {
		opts node.Opts
		want []string // in the message
	}{
		{node.Opts{Port: -1}, []string{"Port -1", "65535"}},
		{node.Opts{Port: 65536}, []string{"Port 65536", "65535"}},
		{node.Opts{ActivityTimeout: -time.Second}, []string{"ActivityTimeout -1s", "1ms"}},
		{node.Opts{ActivityTimeout: time.Microsecond}, []string{"ActivityTimeout 1µs", "1ms"}},
		{node.Opts{ActivityTimeout: 10001 * time.Hour}, []string{"ActivityTimeout 10001h", "10000h"}},
		{node.Opts{BufferSize: -1}, []string{"BufferSize -1", "1073741824"}},
		{node.Opts{BufferSize: over}, []string{"BufferSize 1073741825", "1073741824"}},
		{node.Opts{BufferTillDelim: true, MaxMessage: -1}, []string{"MaxMessage -1", "1073741824"}},
		{node.Opts{Framing: "line", MaxMessage: over}, []string{"MaxMessage 1073741825", "1073741824"}},
		{node.Opts{MaxConns: -1}, []string{"MaxConns -1", "16777216"}},
		{node.Opts{MaxConns: 1<<24 + 1}, []string{"MaxConns 16777217", "16777216"}},
		{node.Opts{Loops: -1}, []string{"Loops -1", "256"}},
		{node.Opts{Loops: 257}, []string{"Loops 257", "256"}},
		{node.Opts{QueueBytes: -1}, []string{"QueueBytes -1", "65536"}},
		{node.Opts{QueueBytes: 65535}, []string{"QueueBytes 65535", "65536"}},
		{node.Opts{OutputBytes: -1}, []string{"OutputBytes -1", "1073741824"}},
		{node.Opts{OutputBytes: over}, []string{"OutputBytes 1073741825", "1073741824"}},
		{node.Opts{TotalOutputBytes: -1}, []string{"TotalOutputBytes -1", "1048576"}},
		{node.Opts{TotalOutputBytes: 1<<20 - 1}, []string{"TotalOutputBytes 1048575", "1048576"}},
		{node.Opts{SlowClient: 3}, []string{"SlowClient 3", "SlowFailSender"}},
		{node.Opts{HalfClose: -1}, []string{"HalfClose -1ns", "1h"}},
		{node.Opts{HalfClose: time.Hour + 1}, []string{"HalfClose 1h0m0.000000001s", "1h"}},
		{node.Opts{CloseTimeout: -1}, []string{"CloseTimeout -1ns", "1h"}},
		{node.Opts{CloseTimeout: time.Hour + 1}, []string{"CloseTimeout 1h0m0.000000001s", "1h"}},
		{node.Opts{Ignore: 4}, []string{"Ignore 4", "IgnoreCloses"}},

		{node.Opts{Listen: []string{"nonsense"}}, []string{"nonsense", "tcp://HOST:PORT"}},
		{node.Opts{Listen: []string{"udp://:1"}}, []string{"udp", "tcp, tcp4, tcp6, unix"}},
		{node.Opts{Listen: []string{"tcp://localhost"}}, []string{"localhost", "HOST:PORT"}},
		{node.Opts{Listen: []string{"tcp://:1?framing=none"}}, []string{"framing", "none", "netstring"}},
		{node.Opts{Listen: []string{"tcp://:1?max-conns=x"}}, []string{"max-conns", "x", "whole number"}},
		{node.Opts{Listen: []string{"tcp://:1?max-message=5"}}, []string{"max-message", "5", "framing"}},
		{node.Opts{Listen: []string{"tcp://:1?frame=line"}}, []string{"frame", "framing"}},
		{node.Opts{Framing: "none"}, []string{"framing", "none", "netstring"}},
		{node.Opts{Framing: "%"}, []string{"Framing", "%", "length-bytes=2"}},
		{node.Opts{Framing: "line&max-message=0"}, []string{"max-message", "0", "1073741824"}},
		{node.Opts{Framing: "line&max-mesage=5"}, []string{"Framing", "max-mesage", "max-message"}},
		{node.Opts{Framing: "line&max-conns=5"}, []string{"Framing", "max-conns", "max-message"}},
		{node.Opts{Framing: "line&framing=raw"}, []string{"Framing", "line&framing=raw", "one framing"}},
		{node.Opts{Framing: "line&length-bytes=2"}, []string{"length-bytes", "2", "length"}},

		{node.Opts{Port: 4100, Listen: []string{"tcp://:1"}}, []string{"Port 4100", "Listen"}},
		{node.Opts{Delim: '\n'}, []string{"Delim", `'\n'`, "BufferTillDelim"}},
		{node.Opts{BufferTillDelim: true, Framing: "line"}, []string{"BufferTillDelim", `"line"`, "one of them"}},
		{node.Opts{BufferTillDelim: true, Codec: codec}, []string{"BufferTillDelim", "Codec", "one of them"}},
		{node.Opts{Framing: "raw", Codec: codec}, []string{`"raw"`, "Codec", "one of them"}},
		{node.Opts{MaxMessage: 5}, []string{"MaxMessage 5", "BufferSize"}},
		{node.Opts{MaxMessage: 5, Codec: codec}, []string{"MaxMessage 5", "Codec"}},
		{node.Opts{MaxMessage: 5, Framing: "raw"}, []string{"MaxMessage 5", "raw"}},
		{node.Opts{MaxMessage: 5, Framing: "fixed&fixed-size=4"}, []string{"MaxMessage 5", "fixed"}},
		{node.Opts{MaxMessage: 5, Framing: "line&max-message=6"}, []string{"MaxMessage 5", "max-message"}},
		{node.Opts{BufferSize: 5, Framing: "raw&buffer-size=6"}, []string{"BufferSize 5", "buffer-size"}},
	} {
		err := openFails(t, c.opts)
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%+v: the error lacks %q: %v", c.opts, part, err)
			}
		}
		if all := faults(err); len(all) != 1 {
			t.Errorf("%+v: %d faults for one: %v", c.opts, len(all), err)
		}
	}
}

func TestOpenReportsAllFaultsAtOnce(t *testing.T) {
	opts := node.Opts{
		Port:            -1,
		ActivityTimeout: -1,
		BufferSize:      -1,
		BufferTillDelim: true,
		Framing:         "nonsense",
		MaxMessage:      -1,
		MaxConns:        -1,
		Loops:           -1,
		QueueBytes:      -1,
		OutputBytes:     -1,
		SlowClient:      9,
		HalfClose:       -1,
		CloseTimeout:    -1,
		Ignore:          9,
		Listen:          []string{"one", "tcp://:0?framing=two", "tcp://:0?max-conns=three&delay=four", "tcp://:0"},
	}
	err := openFails(t, opts)
	for _, part := range []string{
		"Port -1", "ActivityTimeout", "BufferSize", "BufferTillDelim and Framing", "MaxMessage", "MaxConns", "Loops",
		"QueueBytes", "OutputBytes", "SlowClient", "HalfClose", "CloseTimeout", "Ignore",
		`"one"`, `"two"`, `"three"`, `"four"`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q", part)
		}
	}
	for _, fault := range faults(err) {
		if !errors.Is(fault, node.ErrBadOption) {
			t.Errorf("a fault does not match ErrBadOption: %v", fault)
		}
	}
	if t.Failed() {
		t.Logf("the error: %v", err)
	}
}

func TestRefusedOptionsLeaveNothingBehind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := openFails(t, node.Opts{DataDir: dir, Loops: -1}); !strings.Contains(err.Error(), "Loops") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory: %v", err)
	}
}

func TestOpenReturnsAnErrorThatNamesTheListenerWhosePortIsTaken(t *testing.T) {
	taken := start(t, lines())
	dir := t.TempDir()
	opts := lines()
	opts.DataDir = dir
	opts.Listen = []string{"tcp://127.0.0.1:0", "tcp://" + taken.Addrs()[0].String()}
	n, err := node.Open(opts)
	if err == nil {
		closeAtEnd(t, n)
		t.Fatal("Open took a port that is taken")
	}
	if !strings.Contains(err.Error(), taken.Addrs()[0].String()) || errors.Is(err, node.ErrBadOption) {
		t.Errorf("error %v", err)
	}
	opts.Listen = opts.Listen[:1]
	start(t, opts) // the directory is free again
}

// The largest and smallest values that are allowed, and options that may stand
// together.
func TestOpenTakesTheEndsOfEachRange(t *testing.T) {
	codec := ownCodec(t)
	local := []string{"tcp://127.0.0.1:0"}
	for _, opts := range []node.Opts{
		{ActivityTimeout: time.Millisecond, BufferSize: 1, MaxConns: 1, Loops: 1, QueueBytes: 65536, OutputBytes: 1, HalfClose: 1, CloseTimeout: 1},
		{ActivityTimeout: 10000 * time.Hour, BufferSize: 1 << 30, Loops: 256, OutputBytes: 1 << 30, HalfClose: time.Hour, CloseTimeout: time.Hour},
		{SlowClient: node.SlowFailSender, Ignore: node.IgnoreOpens | node.IgnoreCloses},
		{BufferTillDelim: true, BufferSize: 1024, MaxMessage: 1 << 30},
		{BufferTillDelim: true, MaxMessage: 1},
		{Codec: codec, BufferSize: 10},
		{Framing: "length&length-bytes=2", MaxMessage: 5},
		{Framing: "delimiter&delimiter=%0D%0A&max-message=100"},
		{Framing: "raw", BufferSize: 10},
		{Framing: "raw&buffer-size=10"},
		{Listen: []string{"tcp://127.0.0.1:0?framing=line&max-conns=10", "tcp4://127.0.0.1:0", "unix://" + filepath.Join(t.TempDir(), "s")}},
	} {
		if opts.Listen == nil {
			opts.Listen = local
		}
		opts.Logger = slog.New(slog.DiscardHandler)
		start(t, opts)
	}
}

func TestPortOptionListensOnThatPort(t *testing.T) {
	port, release, err := nodetest.FreePorts(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	n := start(t, node.Opts{Port: port, Logger: slog.New(slog.DiscardHandler)})
	if got := n.Addrs()[0].(*net.TCPAddr).Port; got != port {
		t.Errorf("port %d, want %d", got, port)
	}
}

// firstMessage returns what the node makes of text.
func firstMessage(t *testing.T, opts node.Opts, text string) string {
	t.Helper()
	opts.Listen = []string{"tcp://127.0.0.1:0"}
	opts.Logger = slog.New(slog.DiscardHandler)
	n := start(t, opts)
	connect(t, n).say(text)
	return recvData(t, n).data
}

func TestFramingOptionsCutAsTheySay(t *testing.T) {
	for _, c := range []struct {
		opts       node.Opts
		text, want string
	}{
		{node.Opts{BufferSize: 3}, "abcdef", "abc"},
		{node.Opts{Framing: "raw", BufferSize: 3}, "abcdef", "abc"},
		{node.Opts{Framing: "raw&buffer-size=4"}, "abcdef", "abcd"},
		{node.Opts{BufferTillDelim: true, Delim: ';', BufferSize: 2}, "abc;d", "abc;"},
		{node.Opts{BufferTillDelim: true}, "abc\x00d", "abc\x00"},
		{node.Opts{Framing: "line", MaxMessage: 10}, "abc\ndef", "abc"},
		{node.Opts{Framing: "length&length-bytes=1"}, "\x02abc", "ab"},
		{node.Opts{Codec: ownCodec(t)}, "3:abc,", "abc"},
	} {
		if got := firstMessage(t, c.opts, c.text); got != c.want {
			t.Errorf("%+v: message %q of %q, want %q", c.opts, got, c.text, c.want)
		}
	}
}

func TestMaxMessageEndsConnectionsThatExceedIt(t *testing.T) {
	for _, opts := range []node.Opts{{BufferTillDelim: true, Delim: '\n', MaxMessage: 10}, {Framing: "line", MaxMessage: 10}} {
		opts.Listen = []string{"tcp://127.0.0.1:0"}
		opts.Logger = slog.New(slog.DiscardHandler)
		n := start(t, opts)
		c, _ := connectID(t, n)
		c.say("12345678901234\n")
		if _, why := nextClose(t, n); why != node.ReasonTooLarge {
			t.Errorf("%+v: ended for reason %v", opts, why)
		}
		_, id := connectID(t, n)
		want := node.ErrTooLarge
		if opts.BufferTillDelim { // passes everything through
			want = nil
		}
		if err := n.SendData(id, []byte("12345678901234")); !errors.Is(err, want) {
			t.Errorf("%+v: SendData over the limit: %v, want %v", opts, err, want)
		}
	}
}

// nextClose takes one end with its reason.
func nextClose(t *testing.T, n *node.Node) (node.ID, node.Reason) {
	t.Helper()
	type end struct {
		id  node.ID
		why node.Reason
	}
	e := within(t, "a close", func() end {
		for id, why := range n.Closes() {
			return end{id, why}
		}
		return end{}
	})
	return e.id, e.why
}

func TestCheckOpensNothing(t *testing.T) {
	opts := node.Opts{Listen: []string{"unix://" + t.TempDir() + "/clients"}, DataDir: t.TempDir() + "/data"}
	if err := opts.Check(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(opts.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a data directory: %v", err)
	}
}
