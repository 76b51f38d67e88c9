package bench

import (
	"context"
	"net"
	"os/exec"
)

// Command is a command on cores, such as "0" or "0,1", or on those that this
// process may use if that is empty. The process is the command's own: taskset
// becomes what it runs.
func Command(ctx context.Context, cores string, args ...string) *exec.Cmd {
	if cores != "" {
		args = append([]string{"taskset", "-c", cores}, args...)
	}
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// FreeAddrs returns n addresses on loopback whose ports nobody uses at the
// moment.
func FreeAddrs(n int) (addrs []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}
