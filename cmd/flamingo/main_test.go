package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

func TestDemoTicksEveryLine(t *testing.T) {
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
}

func TestDemoFailsWithALineThatDoesNotHold(t *testing.T) {
	var out bytes.Buffer
	broken := errors.New("broken on purpose")
	d := &demo{out: &out}
	if err := d.step(t.Context(), func(context.Context) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("step returns %v, want %v", err, broken)
	}
	if got := out.String(); !strings.Contains(got, "✗ broken on purpose") || strings.Contains(got, "✓") {
		t.Errorf("the broken line reads %q", got)
	}
}

func TestDemoStopsWhenItsContextIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"demo"}, new(bytes.Buffer), new(bytes.Buffer)); err == nil {
		t.Error("a cancelled demo succeeds")
	}
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
