//go:build e2e

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Programs of others on the files of scripts/deploy that nothing here runs.

// deployed returns a file of scripts/deploy with words replaced, as a file of that
// name.
func deployed(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile("../scripts/deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(path, []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// accepts reports whether a program ends well and says nothing.
func accepts(t *testing.T, program string, args ...string) (said string, ok bool) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	return string(out), err == nil && len(out) == 0
}

func TestTheUnitIsOneOfSystemd(t *testing.T) {
	systemd := lookFor(t, "systemd-analyze")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const unit = "systemd/flamingo.service"
	path := deployed(t, unit, "/usr/bin/flamingo", self)
	if said, ok := accepts(t, systemd, "verify", path); !ok {
		t.Error(said)
	}
	for _, wrong := range [][]string{
		{"/usr/bin/flamingo", self, "TimeoutStopSec=", "TimeoutSecStop="},
		{"/usr/bin/flamingo", self, "LimitNOFILE=1048576", "LimitNOFILE=many"},
		{"/usr/bin/flamingo", "/no/such/program"},
	} {
		if _, ok := accepts(t, systemd, "verify", deployed(t, unit, wrong...)); ok {
			t.Errorf("passes with %q", wrong)
		}
	}
	// Exposure in tenths: what is not hardened has 90 and more.
	security := func(path string) (string, error) {
		out, err := exec.CommandContext(t.Context(), systemd, "security", "--offline=true", "--threshold=20", "--no-pager", path).CombinedOutput()
		return string(out), err
	}
	if said, err := security(path); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	if said, err := security(deployed(t, unit, "/usr/bin/flamingo", self, "CapabilityBoundingSet=\n", "", "SystemCallFilter=@system-service\n", "", "ProtectSystem=strict\n", "")); err == nil {
		t.Errorf("a unit that is not hardened passes: %s", said)
	}
}

func TestHAProxyTakesItsConfiguration(t *testing.T) {
	haproxy := lookFor(t, "haproxy", "/usr/sbin/haproxy")
	if said, err := exec.CommandContext(t.Context(), haproxy, "-c", "-f", "../scripts/deploy/haproxy.cfg").CombinedOutput(); err != nil || strings.Contains(string(said), "[WARNING]") {
		t.Errorf("%v\n%s", err, said)
	}
	if said, ok := accepts(t, haproxy, "-c", "-f", deployed(t, "haproxy.cfg", "balance leastconn", "balance fewest")); ok || !strings.Contains(said, "balance") {
		t.Errorf("a way to balance that is none passes: %s", said)
	}
}
