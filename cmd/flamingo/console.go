package main

import (
	"io"
	"os"
)

// A console is what a command reads from and writes to. Data goes out, all
// else is talk, so that a pipe gets nothing but data.
type console struct {
	in   io.Reader
	out  io.Writer
	talk io.Writer

	origins origins // of the settings of run, found while they are read
}

func newConsole(in io.Reader, out, talk io.Writer) *console {
	return &console{in: in, out: out, talk: talk}
}

// isTerminal reports whether w shows what is written to people.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// takesColor reports whether w is a terminal that the user wants in colour.
func takesColor(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// hint returns text for w that stands back: what to type next.
func hint(w io.Writer, text string) string {
	if !takesColor(w) {
		return text
	}
	return "\x1b[2m" + text + "\x1b[0m"
}
