//go:build unix

package gossip

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// asGroup gives the program a process group of its own, all of which is killed when
// its time is up.
func asGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}
