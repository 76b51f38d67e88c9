package gossip

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

const (
	// execGrace is how long, after a program has ended or was killed, its output may
	// be held open by what it has started. A program that leaves it open for longer
	// has failed.
	execGrace = time.Second

	// maxComplaint bounds what is kept of what it prints to standard error, in
	// bytes: its beginning.
	maxComplaint = 512
)

// resolveExec runs a program and looks the seeds up that it prints, if its exit code
// is 0. It blocks until the program has ended, and at most execGrace longer. When ctx
// is done the program is killed, and on Unix all that it has started and that has
// stayed in its process group.
func resolveExec(ctx context.Context, r Resolver, command string) ([]netip.AddrPort, error) {
	words := strings.Fields(command)
	said, complaint := beginning{limit: maxSeedText + 1}, beginning{limit: maxComplaint}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &complaint
	cmd.WaitDelay = execGrace
	asGroup(cmd)
	if err := cmd.Run(); err != nil {
		if cause := ctx.Err(); cause != nil {
			err = fmt.Errorf("killed: %w", cause)
		}
		if words := strings.TrimSpace(string(complaint.kept)); words != "" {
			err = fmt.Errorf("%w, and said %q", err, words)
		}
		return nil, err
	}
	return resolveText(ctx, r, string(said.kept))
}

// A beginning keeps the first limit bytes that are written to it and drops the
// rest, so that who writes is not held up.
type beginning struct {
	kept  []byte
	limit int
}

func (b *beginning) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), b.limit-len(b.kept))]...)
	return len(p), nil
}
