package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// An interruption is why a context ended that a signal has ended.
type interruption struct{ os.Signal }

func (i interruption) Error() string { return "signal: " + i.String() }

// untilSignal returns a context that the first SIGINT or SIGTERM ends: a
// command then ends in order. The second one ends the process at once.
func untilSignal(ctx context.Context, stderr io.Writer) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(interruption{<-signals})
		<-signals
		fmt.Fprintln(stderr, "flamingo: ended at once; what was queued is lost")
		os.Exit(exitFailed)
	}()
	return ctx
}
