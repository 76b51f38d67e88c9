// Command flamingo is the fabric as one binary: today a demonstration of a
// cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong use, or a bad setting
)

// errUsage: the command line is wrong. Its message has been printed.
var errUsage = errors.New("wrong use")

// commands is the command line: its fields are the commands, and their fields
// the flags.
type commands struct {
	Demo demoCommand `cmd:"" help:"A tour of a few seconds: three nodes in this process, 300 real clients, checked line by line."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

// exitCode returns the exit code of a command that ended with err, and tells
// the user what is not told yet.
func exitCode(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errUsage):
		return exitUsage
	default:
		fmt.Fprintln(stderr, "flamingo:", err)
		return exitFailed
	}
}

// run parses args and runs the command they name until it is done, or ctx is.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var cli commands
	exited := false
	parser, err := kong.New(&cli,
		kong.Name("flamingo"),
		kong.Description("Many long-lived connections, each under one id."),
		kong.UsageOnError(),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }), // after the help text; only main exits
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	chosen, err := parser.Parse(args)
	if exited {
		return nil
	}
	if err != nil {
		parser.FatalIfErrorf(err)
		return errUsage
	}
	return chosen.Run()
}
