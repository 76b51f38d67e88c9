package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestDemoTicksEveryLine(t *testing.T) {
	leavesNothingBehind(t)
	var out, talk bytes.Buffer
	if err := run(t.Context(), []string{"demo"}, &out, &talk); err != nil {
		t.Fatalf("demo: %v\n%s", err, &out)
	}
	if got, want := strings.Count(out.String(), "✓"), len((&demo{}).steps()); got != want || want < 8 {
		t.Errorf("%d lines are ticked, want %d, at least 8:\n%s", got, want, &out)
	}
	if strings.Contains(out.String(), "✗") {
		t.Errorf("a line does not hold:\n%s", &out)
	}
	for line := range strings.SplitSeq(readPage(t, "README.md"), "\n") {
		if strings.HasPrefix(line, "  ✓") && !strings.Contains(masked(out.String()), masked(line)) {
			t.Errorf("README.md shows\n%s\nand the demo prints\n%s", line, &out)
		}
	}
	if talk.Len() > 0 {
		t.Errorf("the demo talks on standard error:\n%s", &talk)
	}
}

// masked is a text without what differs from run to run: numbers, times, the
// answers of a node that has just stopped, and the blanks that they leave.
func masked(text string) string {
	text = regexp.MustCompile(`\b[0-9a-f]*[0-9][0-9a-f.]*(µs|ms|s)?\b`).ReplaceAllString(text, "#")
	text = regexp.MustCompile(` +`).ReplaceAllString(text, " ")
	return regexp.MustCompile(`: # [a-z]+(, # [a-z]+)* `).ReplaceAllString(text, ": ")
}

func TestDemoFailsWithALineThatDoesNotHold(t *testing.T) {
	leavesNothingBehind(t)
	var out bytes.Buffer
	broken := errors.New("broken on purpose")
	d := &demo{out: &out}
	err := d.run(t.Context(), []demoStep{
		d.form,
		func(context.Context) (string, error) { return "", broken },
		d.connect,
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "1 of 3 lines hold") {
		t.Errorf("the demo returns %v, want %v after 1 of 3", err, broken)
	}
	if got := out.String(); !strings.Contains(got, "✗ broken on purpose") || strings.Count(got, "✓") != 1 {
		t.Errorf("one line holds and one is broken, and the demo says\n%s", got)
	}
}

func TestDemoCleansUpWhenItsContextIsDone(t *testing.T) {
	for name, ticks := range map[string]int{
		"before":             -1,
		"while it forms":     0,
		"with clients":       2,
		"with a node closed": 13,
	} {
		t.Run(name, func(t *testing.T) {
			leavesNothingBehind(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if ticks < 0 {
				cancel()
			}
			out := &tickCounter{at: ticks, reached: cancel}
			if err := run(ctx, []string{"demo"}, out, io.Discard); !errors.Is(err, context.Canceled) {
				t.Errorf("the demo returns %v, want %v\n%s", err, context.Canceled, &out.seen)
			}
			if got := out.seen.String(); strings.Count(got, "✓") != max(ticks, 0) || strings.Count(got, "✗") != 1 {
				t.Errorf("want %d lines ticked and the next one crossed out:\n%s", max(ticks, 0), got)
			}
		})
	}
}

// A tickCounter keeps what is written, and calls reached once a number of lines
// is ticked.
type tickCounter struct {
	at      int
	reached func()
	seen    bytes.Buffer
}

func (c *tickCounter) Write(p []byte) (int, error) {
	defer func() {
		if strings.Count(c.seen.String(), "✓") == c.at {
			c.reached()
		}
	}()
	return c.seen.Write(p)
}

// leavesNothingBehind gives the test a directory for temporary files, which has
// to be empty at its end.
func leavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} { // by system
		t.Setenv(name, dir)
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind in the directory for temporary files: %v, %v", left, err)
		}
	})
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
		says string // on stdout or stderr
	}{
		{nil, exitDone, "demo"},
		{[]string{"--help"}, exitDone, "Usage: flamingo"},
		{[]string{"demo", "--help"}, exitDone, "Usage: flamingo demo"},
		{[]string{"dmo"}, exitUsage, `did you mean one of "demo"`},
		{[]string{"demo", "--nodes"}, exitUsage, "unknown flag --nodes"},
	} {
		var out, talk bytes.Buffer
		err := run(t.Context(), c.args, &out, &talk)
		if got := exitCode(err, &talk); got != c.want {
			t.Errorf("flamingo %v: exit %d, want %d", c.args, got, c.want)
		}
		if !strings.Contains(out.String()+talk.String(), c.says) {
			t.Errorf("flamingo %v says\n%s%s\nwant %q in it", c.args, &out, &talk, c.says)
		}
	}
	var talk bytes.Buffer
	if got := exitCode(errors.New("disk on fire"), &talk); got != exitFailed || talk.String() != "flamingo: disk on fire\n" {
		t.Errorf("exit %d with %q, want %d", got, &talk, exitFailed)
	}
}
