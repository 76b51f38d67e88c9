package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"flamingo/node/admin"
)

// Exit codes that package admin does not give.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong use, or a bad setting
)

// A usageError says that the command line, the environment or the file of
// settings is wrong.
type usageError struct {
	error
	hint string // what to type; may be empty
}

func (e usageError) Unwrap() error { return e.error }

func badUse(format string, args ...any) error {
	return usageError{error: fmt.Errorf(format, args...)}
}

// A toldError is one that the user has been told of already.
type toldError struct{ error }

func (e toldError) Unwrap() error { return e.error }

// exitCode returns the exit code of a command that ended with err, and tells
// the user what is not told yet.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	if !errors.As(err, new(toldError)) {
		fmt.Fprintln(stderr, "flamingo:", strings.TrimPrefix(err.Error(), "flamingo: "))
	}
	if usage := (usageError{}); errors.As(err, &usage) && usage.hint != "" {
		fmt.Fprintln(stderr, usage.hint)
	}
	return codeOf(err)
}

// codeOf returns the exit code of err: where it is an outcome or an answer of a
// node, the one that package admin has for it.
func codeOf(err error) int {
	var answer *problemError
	var level verdictError
	switch {
	case errors.As(err, &level):
		return level.level
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.As(err, &answer):
		return answer.kind().Exit
	default:
		return admin.ProblemOf(err).Exit
	}
}
