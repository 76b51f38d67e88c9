package transport_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flamingo/framing"
	"flamingo/transport"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestNewReportsEveryFaultWithValueAndWhatIsAllowed(t *testing.T) {
	_, err := transport.New(transport.Config{
		Listeners: []transport.Listener{
			{Network: "udp", Address: "x"},
			{Network: "tcp", Address: "nowhere", Codec: lineCodec(t), MaxConns: -3, Backlog: 1 << 20, KeepAlive: time.Millisecond, UserTimeout: -1, ReadBuffer: -4, WriteBuffer: 1 << 31},
			{Network: "unix", Codec: lineCodec(t), ReusePort: true},
		},
		Loops: 300, MaxConns: -1, ActivityTimeout: time.Microsecond, QueueBytes: 5, OutputBytes: -6,
		Slow: 9, HalfClose: -7, CloseTimeout: 2 * time.Hour, Ignore: 64,
	})
	if !errors.Is(err, transport.ErrBadOption) {
		t.Fatalf("New: %v; want ErrBadOption", err)
	}
	text := err.Error()
	for _, want := range []string{
		`listener 0: bad option: network "udp": allowed is tcp, tcp4, tcp6, unix`,
		"framing (none): allowed is a codec",
		`listener 1: bad option: address "nowhere": allowed is HOST:PORT`,
		"max-conns -3: allowed is 0 to 16777216",
		"backlog 1048576: allowed is 0 to 65536",
		"keep-alive 1ms: allowed is 1s to 9h",
		"user-timeout -1ns: allowed is 0 or 1ms to 24h",
		"read-buffer -4: allowed is 0 to 1073741824",
		"write-buffer 2147483648: allowed is 0 to 1073741824",
		`listener 2: bad option: address "": allowed is the path`,
		"reuse-port",
		"IDs (nil)",
		"Loops 300: allowed is 0 to 256",
		"MaxConns -1: allowed is 0 to 16777216",
		"ActivityTimeout 1µs: allowed is 0 (never) or 1ms to 10000h",
		"QueueBytes 5: allowed is 0 or at least 65536",
		"OutputBytes -6: allowed is 0 to 1073741824",
		"Slow SlowPolicy(9): allowed is close, drop-newest, fail-sender",
		"HalfClose -7ns: allowed is 0 to 1h",
		"CloseTimeout 2h0m0s: allowed is 0 to 1h",
		"Ignore 64: allowed is IgnoreOpens, IgnoreCloses",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the error does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	if _, err := transport.New(transport.Config{}); err == nil || !strings.Contains(err.Error(), "Listeners (none): allowed is at least one") {
		t.Errorf("New without listeners: %v", err)
	}
}

func TestNewLeavesTheConfigAsItIs(t *testing.T) {
	cfg := transport.Config{Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0", Codec: lineCodec(t)}}, IDs: sequence(t)}
	if _, err := transport.New(cfg); err != nil {
		t.Fatal(err)
	}
	if l := cfg.Listeners[0]; l.KeepAlive != 0 {
		t.Errorf("the caller's listener has keep-alive %v; want zero as it was given", l.KeepAlive)
	}
}

func TestSlowPoliciesParseFromTheirNames(t *testing.T) {
	for _, p := range []transport.SlowPolicy{transport.SlowClose, transport.SlowDropNewest, transport.SlowFailSender} {
		if got, err := transport.ParseSlowPolicy(p.String()); got != p || err != nil {
			t.Errorf("ParseSlowPolicy(%q): %v, %v; want %v", p, got, err, p)
		}
	}
	if _, err := transport.ParseSlowPolicy("drop"); !errors.Is(err, transport.ErrBadOption) || !strings.Contains(err.Error(), "drop-newest") {
		t.Errorf(`ParseSlowPolicy("drop"): %v; want ErrBadOption and what is allowed`, err)
	}
}

func TestParseListenerReadsAddressAndOptions(t *testing.T) {
	fallback := lineCodec(t)
	for text, want := range map[string]transport.Listener{
		"tcp://:4100":            {Network: "tcp", Address: ":4100"},
		"tcp://127.0.0.1:0/":     {Network: "tcp", Address: "127.0.0.1:0"},
		"tcp6://[::1]:4100":      {Network: "tcp6", Address: "[::1]:4100"},
		"unix:///run/app.sock":   {Network: "unix", Address: "/run/app.sock"},
		"unix://app/app.sock":    {Network: "unix", Address: "app/app.sock"},
		"unix:///run/a%20b.sock": {Network: "unix", Address: "/run/a b.sock"},
		"tcp://:1?max-conns=10&delay=true&reuse-port=1&backlog=5": {
			Network: "tcp", Address: ":1", MaxConns: 10, Delay: true, ReusePort: true, Backlog: 5,
		},
		"tcp://:1?keep-alive=-1s&user-timeout=5s&read-buffer=1&write-buffer=2": {
			Network: "tcp", Address: ":1", KeepAlive: -time.Second, UserTimeout: 5 * time.Second, ReadBuffer: 1, WriteBuffer: 2,
		},
		"tcp://:1?max-conns-per-address=1&accept-rate=2&first-message-timeout=3s&idle-timeout=-4s&write-timeout=5s" +
			"&max-lifetime=6s&lifetime-spread=6s&messages-per-second=8&bytes-per-second=9": {
			Network: "tcp", Address: ":1", Limits: transport.Limits{
				MaxConnsPerAddress: 1, AcceptRate: 2, FirstMessageTimeout: 3 * time.Second, IdleTimeout: -4 * time.Second,
				WriteTimeout: 5 * time.Second, MaxLifetime: 6 * time.Second, LifetimeSpread: 6 * time.Second,
				MessagesPerSecond: 8, BytesPerSecond: 9,
			},
		},
	} {
		got, err := transport.ParseListener(text, fallback)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(transport.Listener{}, "Codec")); diff != "" {
			t.Errorf("%s: -want +got\n%s", text, diff)
		}
		if got.Codec != fallback {
			t.Errorf("%s: codec %v; want the fallback", text, got.Codec)
		}
	}
	l, err := transport.ParseListener("tcp://:1?framing=delimiter&delimiter=%23%26", nil)
	if err != nil {
		t.Fatal(err)
	}
	if msg, _, err := l.Codec.Decode([]byte("a#b#&c"), 0); string(msg) != "a#b#&" || err != nil {
		t.Errorf("message %q, %v; want a#b#&", msg, err)
	}
}

func TestParseListenerNamesEveryFault(t *testing.T) {
	for text, wants := range map[string][]string{
		"":                    {"tcp://HOST:PORT"},
		":4100":               {"tcp://HOST:PORT"},
		"4100":                {"tcp://HOST:PORT"},
		"localhost:4100":      {`network "localhost"`},
		"tcp:4100":            {`address ""`},
		"tcp://localhost":     {"HOST:PORT"},
		"http://localhost:80": {`network "http"`, "tcp, tcp4, tcp6, unix"},
		"unix://":             {"the path of a socket"},
		"tcp://:1/path":       {"beside address and options nothing"},
		"tcp://me@:1":         {"beside address and options nothing"},
		"tcp://:1?framing=delimiter&delimiter=#&max-conns=5": {"%23"},
		"tcp://:http":  {"HOST:PORT"},
		"tcp://:70000": {"0 to 65535"},
		"tcp://:1?max-conns=many&backlog=x&delay=perhaps&keep-alive=1&user-timeout=y": {
			`max-conns "many": allowed is a whole number`, `backlog "x"`, `delay "perhaps": allowed is true or false`,
			`keep-alive "1": allowed is a duration`, `user-timeout "y"`,
		},
		"tcp://:1?max-conns=1&max-conns=2":                  {"max-conns given 2 times"},
		"tcp://:1?max-cons=1":                               {`unknown listener option "max-cons"`, "max-conns"},
		"tcp://:1?max-message=5":                            {"allowed only beside framing"},
		"tcp://:1?framing=morse":                            {"morse", "line"},
		"tcp://:1?framing=line&max-message=0x&max-conns=-1": {"max-message", "max-conns -1"},
		"unix:///x?reuse-port=true":                         {"reuse-port"},
		"tcp://:1?max-conns-per-address=-1&accept-rate=1000001&messages-per-second=-1&bytes-per-second=1073741825": {
			"max-conns-per-address -1: allowed is 0 (no bound) to 16777216", "accept-rate 1000001: allowed is 0 (no bound) to 1000000",
			"messages-per-second -1", "bytes-per-second 1073741825: allowed is 0 (no bound) to 1073741824",
		},
		"tcp://:1?first-message-timeout=-1s&idle-timeout=1us&write-timeout=10001h&max-lifetime=999us&lifetime-spread=-1s": {
			"first-message-timeout -1s: allowed is 0 (never) or 1ms to 10000h", "idle-timeout 1µs", "write-timeout 10001h",
			"max-lifetime 999µs", "lifetime-spread -1s: allowed is 0 to max-lifetime",
		},
		"tcp://:1?lifetime-spread=1s":                 {"lifetime-spread 1s: allowed is given beside max-lifetime alone"},
		"tcp://:1?lifetime-spread=2s&max-lifetime=1s": {"lifetime-spread 2s", "which is 1s"},
		"tcp://:1?keep-alive=%zz":                     {"tcp://:1"},
	} {
		l, err := transport.ParseListener(text, lineCodec(t))
		if err == nil {
			t.Errorf("%s: %+v; want an error", text, l)
			continue
		}
		if !errors.Is(err, transport.ErrBadOption) && !errors.Is(err, framing.ErrBadOption) {
			t.Errorf("%s: %v; want ErrBadOption", text, err)
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want it to say %q", text, err, want)
			}
		}
	}
}
