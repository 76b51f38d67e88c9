//go:build e2e && linux

package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// inside names the test in the process that has a network of its own.
	inside = "FLAMINGO_TEST_CHAOS_INSIDE"

	// subjectVariable is where that process finds the program of the nodes.
	subjectVariable = "FLAMINGO_TEST_CHAOS_SUBJECT"
)

// inOwnNetwork runs the test again in a process with a network of its own, which
// has a limit, and reports whether this is that process. build makes the program
// of the nodes, in a directory.
func inOwnNetwork(t *testing.T, limit time.Duration, build func(dir string) string) (binary string, ok bool) {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		return os.Getenv(subjectVariable), true
	}
	for _, tool := range []string{"unshare", "ip", "nft", "ss", "strace"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("chaos takes root and Debian's iproute2, nftables, strace and util-linux: %v", err)
		}
	}
	dir := workDir(t)
	binary = build(dir)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--kill-child", os.Args[0],
		"-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.count=1", "-test.v", "-test.timeout="+limit.String())
	cmd.Env = append(os.Environ(), inside+"="+t.Name(), subjectVariable+"="+binary, "TMPDIR="+dir) // which goes even if the process is killed
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // at the end of which the process would be killed
	defer runtime.UnlockOSThread()
	var out bytes.Buffer
	cmd.Stdout = io.MultiWriter(&out, t.Output())
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %v", cmd, err)
	}
	return "", false
}

// workDir makes a directory for as long as the test, after it has removed those of
// test processes that were killed.
func workDir(t *testing.T) string {
	t.Helper()
	const prefix = "flamingo-chaos-"
	left, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*")) //nolint:usetesting // that of others
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid())) //nolint:usetesting // has to be found again
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
