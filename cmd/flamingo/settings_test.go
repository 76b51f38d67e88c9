package main

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"flamingo/transport"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// parse returns the settings of a command line that begins with run.
func parse(t testing.TB, args ...string) (*runCommand, *kong.Context) {
	t.Helper()
	var cli commands
	con := newConsole(strings.NewReader(""), t.Output(), t.Output())
	parser, err := newParser(t.Context(), &cli, con, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := parser.Parse(append([]string{"run"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return &cli.Run, chosen
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flamingo.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagGoesBeforeVariableBeforeFileBeforeDefault(t *testing.T) {
	path := writeFile(t, `
listen: [tcp://:1]
framing: raw
app: sink
limits: {max_conns: 1, activity_timeout: 1s, max_message: 1KiB}
cluster: {join: [file], expect: 1, insecure: true}
log: {level: debug}
`)
	settings := func(r *runCommand) []any {
		return []any{r.Listen, r.Framing, r.App, r.MaxConns, r.ActivityTimeout, r.MaxMessage, r.Join, r.Expect, r.Insecure, r.LogLevel}
	}
	compare := func(what string, r *runCommand, want ...any) {
		t.Helper()
		if diff := cmp.Diff(want, settings(r)); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", what, diff)
		}
	}

	bare, _ := parse(t)
	compare("default", bare, []string{defaultListen}, "line", "echo", 0, time.Duration(0), size(0), []string(nil), 0, false, slog.LevelInfo)

	file, _ := parse(t, "-c", path)
	compare("file", file, []string{"tcp://:1"}, "raw", "sink", 1, time.Second, size(1024), []string{"file"}, 1, true, slog.LevelDebug)

	for name, value := range map[string]string{
		"LISTEN": "tcp://:2?framing=delimiter&delimiter=,  unix:///run/f", "FRAMING": "netstring", "APP": "echo",
		"MAX_CONNS": "2", "ACTIVITY_TIMEOUT": "2s", "MAX_MESSAGE": "2KiB",
		"JOIN": "env,env2", "EXPECT": "3", "INSECURE": "false", "LOG_LEVEL": "warn",
	} {
		t.Setenv(envPrefix+name, value)
	}
	env, _ := parse(t, "-c", path)
	compare("variable", env, []string{"tcp://:2?framing=delimiter&delimiter=,", "unix:///run/f"}, "netstring", "echo",
		2, 2*time.Second, size(2048), []string{"env", "env2"}, 3, false, slog.LevelWarn)

	flags, _ := parse(t, "-c", path, "--listen=tcp://:3", "--listen=tcp://:4", "--framing=fixed", "--app=sink",
		"--max-conns=3", "--activity-timeout=3s", "--max-message=3KiB",
		"--join=flag", "--join=flag2,flag3", "--expect=5", "--insecure", "--log-level=error")
	compare("flag", flags, []string{"tcp://:3", "tcp://:4"}, "fixed", "sink", 3, 3*time.Second, size(3072),
		[]string{"flag", "flag2", "flag3"}, 5, true, slog.LevelError)
}

// flagsOf returns the flags of run that are settings, by key.
func flagsOf(t testing.TB) map[string]*kong.Flag {
	t.Helper()
	_, chosen := parse(t)
	return settings(chosen.Selected().Flags)
}

func TestEverySettingIsAFlagAndAKey(t *testing.T) {
	want := []string{
		"admin.address", "admin.token_file", "app", "attach.ack_timeout", "attach.address", "attach.token_file",
		"cluster.address", "cluster.advertise", "cluster.expect", "cluster.insecure", "cluster.join", "cluster.key_file", "cluster.lost_after", "cluster.name",
		"cluster.tls_ca", "cluster.tls_cert", "cluster.tls_key",
		"drain.duration", "drain.wait", "framing",
		"limits.activity_timeout", "limits.close_timeout", "limits.closed_memory", "limits.groups_per_conn", "limits.half_close",
		"limits.max_conns", "limits.max_groups", "limits.max_message", "limits.max_watched", "limits.max_watches", "limits.meta_bytes",
		"limits.output_bytes", "limits.queue_bytes", "limits.send_timeout", "limits.slow_client",
		"limits.total_meta_bytes", "limits.total_output_bytes",
		"listen", "log.format", "log.level",
		"node.data", "node.ephemeral", "node.loops", "node.name", "node.portable",
		"webhook.events", "webhook.secret_file", "webhook.url",
	}
	flags := flagsOf(t)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(flags))); diff != "" {
		t.Errorf("keys: want -, got +:\n%s", diff)
	}
	fields := reflect.TypeFor[runCommand]().NumField() - 1 // all but the file itself
	if len(flags) != fields {
		t.Errorf("%d keys for %d settings: one is missing, or used twice", len(flags), fields)
	}
}

func TestEveryKeyReachesItsSetting(t *testing.T) {
	const lines = `
listen:
  - tcp://127.0.0.1:1
  - {address: "tcp://127.0.0.1:2", framing: length, length_bytes: 2, max_conns: 7}
framing: raw
app: sink
limits:
  max_conns: 10
  activity_timeout: 1m30s
  close_timeout: 3s
  max_message: 64KiB
  output_bytes: 2MiB
  total_output_bytes: 3GiB
  slow_client: fail-sender
  send_timeout: 4s
  half_close: 6s
  queue_bytes: 1MiB
  closed_memory: 11
  groups_per_conn: 12
  max_groups: 13
  meta_bytes: 14
  total_meta_bytes: 15
  max_watches: 16
  max_watched: 17
drain: {wait: 5s, duration: 7s}
cluster:
  address: 127.0.0.1:3
  advertise: 127.0.0.1:4
  join: 127.0.0.1:5
  expect: 3
  name: birds
  insecure: yes
  lost_after: 2h
  key_file: /cluster.key
  tls_cert: /ash.pem
  tls_key: /ash-key.pem
  tls_ca: /ca.pem
node:
  data: /data
  name: |-
    ash
  ephemeral: false
  loops: 18
  portable: true
admin:
  address: 127.0.0.1:6
  token_file: /token
log: {level: warn, format: json}
`
	got, _ := parse(t, "-c", writeFile(t, lines))
	want := &runCommand{
		Config: got.Config,
		Listen: []string{"tcp://127.0.0.1:1", "tcp://127.0.0.1:2?framing=length&length-bytes=2&max-conns=7"}, Framing: "raw", App: "sink",
		HalfClose: 6 * time.Second, QueueBytes: 1 << 20, ClosedMemory: 11, GroupsPerConn: 12, MaxGroups: 13, MetaBytes: 14, TotalMetaBytes: 15,
		MaxWatches: 16, MaxWatched: 17, Loops: 18, Portable: true,
		MaxConns: 10, ActivityTimeout: 90 * time.Second, CloseTimeout: 3 * time.Second, MaxMessage: 64 << 10, OutputBytes: 2 << 20, TotalOutputBytes: 3 << 30, SlowClient: "fail-sender", DrainWait: 5 * time.Second, DrainDuration: 7 * time.Second,
		Cluster: "127.0.0.1:3", Advertise: "127.0.0.1:4", Join: []string{"127.0.0.1:5"}, Expect: 3, ClusterName: "birds", Insecure: true,
		ClusterKeyFile: "/cluster.key", ClusterTLSCert: "/ash.pem", ClusterTLSKey: "/ash-key.pem", ClusterTLSCA: "/ca.pem",
		Data: "/data", Name: "ash", SendTimeout: 4 * time.Second, LostAfter: 2 * time.Hour,
		Admin: "127.0.0.1:6", TokenFile: "/token", LogLevel: slog.LevelWarn, LogFormat: "json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings: want -, got +:\n%s", diff)
	}
}

func TestOptionsOfAWebSocketListenerAreTakenFromTheFile(t *testing.T) {
	const lines = `
listen:
  - address: ws://127.0.0.1:1/chat
    origin: https://example.com
    subprotocol: v2,v1
    send: binary
    max_message: 100
    ping: 20s
    pong_timeout: 5s
    handshake_timeout: 3s
    max_conns: 7
framing: raw
limits: {max_message: 64KiB}
`
	run, _ := parse(t, "-c", writeFile(t, lines))
	l, err := parseListener(run.Listen[0])
	if err != nil {
		t.Fatal(err)
	}
	want := &transport.WebSocket{
		Path: "/chat", Origins: []string{"https://example.com"}, Subprotocols: []string{"v2", "v1"}, Send: transport.KindBinary,
		MaxMessage: 100, Ping: 20 * time.Second, PongTimeout: 5 * time.Second,
	}
	if diff := cmp.Diff(want, l.WebSocket); diff != "" || l.MaxConns != 7 || l.HandshakeTimeout != 3*time.Second {
		t.Errorf("%+v; options: want -, got +:\n%s", l, diff)
	}
	opts, err := run.opts()
	if err != nil || opts.BufferSize != 64<<10 || opts.MaxMessage != 64<<10 {
		t.Errorf("messages of %d bytes raw and %d over WebSocket, %v; want 64 KiB both", opts.BufferSize, opts.MaxMessage, err)
	}
	for _, wrong := range []string{"framing: line", "length_bytes: 2", "send: loud", "ping: 1", "send: binary\n    reuse_ports: true"} {
		_, err := loadConfig(writeFile(t, "listen:\n  - address: ws://127.0.0.1:1\n    "+wrong+"\n"), flagsOf(t))
		if err == nil {
			t.Errorf("a WebSocket listener has %s", wrong)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]size{
		"0": 0, "65536": 65536, "1B": 1, "64KiB": 64 << 10, "1 MiB": 1 << 20, "1GiB": 1 << 30, "64kB": 64000, "2MB": 2e6,
	} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5MiB", "1kiB", "9999999999999GiB", "B"} {
		if err := new(size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a size", text)
		}
	}
}

func FuzzLoadConfig(f *testing.F) {
	for _, text := range []string{
		"", "cluster: {join: [a, b]}\n", "listen:\n  - address: tcp://:1\n    framing: line\n", "a: &b [*b]\n", "<<: {app: echo}\n", "? [x]\n: y\n",
		"- 1\n", "node:\n\tname: x\n", "node: !!binary x\n", "app: |\n  echo\n", "--- 1\n--- 2\n",
	} {
		f.Add(text)
	}
	flags := flagsOf(f)
	path := filepath.Join(f.TempDir(), "flamingo.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		values, err := loadConfig(path, flags)
		if err != nil {
			_ = err.Error()
		}
		for key, value := range values {
			if err := check(flags[key], value); err != nil {
				t.Errorf("%s: what was read is refused: %v", key, err)
			}
		}
	})
}
