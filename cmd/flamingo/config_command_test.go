package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFileOfSettingsToBeginWithHasEveryKeyAtItsDefault(t *testing.T) {
	out, talk, code := command(t.Context(), "config", "init")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, talk)
	}
	text := regexp.MustCompile(`(?m)^#(\S|  \S)`).ReplaceAllString(out, "$1")
	path := writeFile(t, text)
	values, err := loadConfig(path, flagsOf(t))
	if err != nil {
		t.Fatal(err)
	}
	for key := range flagsOf(t) {
		if _, ok := values[key]; !ok {
			t.Errorf("the file does not have %s", key)
		}
	}
	bare, _ := parse(t)
	full, _ := parse(t, "-c", path)
	full.Config = ""
	if got, want := fmt.Sprint(*full), fmt.Sprint(*bare); got != want {
		t.Errorf("with the file\n%s\nwithout\n%s", got, want)
	}

	file := filepath.Join(t.TempDir(), "flamingo.yaml")
	if out, talk, code := command(t.Context(), "config", "init", file); code != 0 || out != "" || !strings.Contains(talk, "run -c "+file) {
		t.Errorf("prints %q, says %q, exit code %d", out, talk, code)
	}
	if _, talk, code := command(t.Context(), "config", "init", file); code != 2 || !strings.Contains(talk, "exists, and is left as it is") {
		t.Errorf("a second time: says %q, exit code %d", talk, code)
	}
	if _, err := loadConfig(file, flagsOf(t)); err != nil {
		t.Errorf("as it is written: %v", err)
	}
}

func TestVariablesOfSettingsAreReadBackAsTheyWere(t *testing.T) {
	args := []string{"--listen", "tcp://:1?framing=delimiter&delimiter=,", "--listen", "unix:///run/f", "--join", "a,b", "--max-message", "64KiB", "--drain-wait", "5s", "--insecure"}
	out, talk, code := command(t.Context(), append([]string{"config", "env", "--"}, args...)...)
	if code != 0 || strings.Count(out, "\n") != 5 {
		t.Fatalf("prints %q, says %q, exit code %d", out, talk, code)
	}
	want, _ := parse(t, args...)
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		t.Setenv(name, strings.Trim(value, "'"))
	}
	if got, _ := parse(t); fmt.Sprint(*got) != fmt.Sprint(*want) {
		t.Errorf("got\n%v, want\n%v", *got, *want)
	}
}

func TestSettingsOfARunningNodeAreShown(t *testing.T) {
	out, talk, code := flamingo(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/config" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		fmt.Fprint(w, `{"settings":[{"key":"cluster.join","value":["a","b"],"source":"file","where":"/etc/f.yaml"},{"key":"limits.max_conns","value":1000000,"source":"flag"}]}`)
	}, "config", "show", "--running")
	want := "KEY               VALUE    SOURCE\ncluster.join      a, b     file /etc/f.yaml\nlimits.max_conns  1000000  flag\n"
	if out != want || code != 0 {
		t.Errorf("prints\n%s%s, exit code %d, want\n%s", out, talk, code, want)
	}
}

// goodMachine lacks nothing.
func goodMachine() *machine {
	return &machine{
		files:   func() (uint64, bool) { return 1 << 20, true },
		sysctl:  func(string) (int64, bool) { return 1 << 30, true },
		synced:  func() (bool, bool) { return true, true },
		now:     func() time.Time { return time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC) },
		listen:  func(context.Context, string, string) error { return nil },
		resolve: func(context.Context, string) error { return nil },
	}
}

func TestWhatAMachineLacksIsFound(t *testing.T) {
	clustered := []string{"--listen", "tcp://:7", "--cluster", "127.0.0.1:9", "--expect", "1", "--join", "dns:nodes.example,10.0.0.1:4110,[::1]:4110", "--max-conns", "1000"}
	for _, test := range []struct {
		what  string
		spoil func(m *machine)
		args  []string
		want  string // names of what is not well; with levels
	}{
		{"nothing", func(*machine) {}, clustered, ""},
		{"files", func(m *machine) { m.files = func() (uint64, bool) { return 1200, true } }, clustered, "warning open files"},
		{"few files", func(m *machine) { m.files = func() (uint64, bool) { return 20000, true } }, nil, "warning open files"},
		{"kernel", func(m *machine) {
			m.sysctl = func(name string) (int64, bool) { return 128, name == "net.core.somaxconn" }
		}, nil, "warning net.core.somaxconn"},
		{"no such limits", func(m *machine) { m.sysctl = func(string) (int64, bool) { return 0, false } }, nil, ""},
		{"clock", func(m *machine) { m.synced = func() (bool, bool) { return false, true } }, nil, "warning clock"},
		{"unknown clock", func(m *machine) { m.synced = func() (bool, bool) { return false, false } }, nil, ""},
		{"clock of 1970", func(m *machine) { m.now = func() time.Time { return time.Unix(0, 0) } }, nil, "critical clock"},
		{"ports", func(m *machine) {
			m.listen = func(_ context.Context, network, address string) error {
				if network == "udp" || address == ":7" {
					return fmt.Errorf("listen: %w", os.NewSyscallError("bind", syscall.EADDRINUSE))
				}
				return nil
			}
		}, clustered, "critical port tcp :7, critical port udp 127.0.0.1:9"},
		{"names", func(m *machine) {
			m.resolve = func(_ context.Context, host string) error { return errors.New("no such host " + host) }
		}, clustered, "warning join dns:nodes.example"},
		{"settings", func(*machine) {}, []string{"--max-conns=-1", "--admin", "10.0.0.1:1"}, "critical settings"},
	} {
		m := goodMachine()
		test.spoil(m)
		run, _ := parse(t, test.args...)
		var got []string
		for _, tried := range m.try(t.Context(), run) {
			if tried.level != levelOK {
				got = append(got, tried.Level+" "+tried.Name)
			}
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s: found %q, want %q", test.what, got, test.want)
		}
	}
}
