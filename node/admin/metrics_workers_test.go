package admin_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"flamingo/node/admin"
	"flamingo/node/attach"
)

// A node whose application are workers shows them; another one has no such families.
func TestWorkersAreShown(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	samples, _ := scrape(a)
	for _, s := range samples {
		if s.family == "flamingo_attach_sessions" {
			t.Fatal("there are workers without any")
		}
	}
	s, err := attach.New(attach.Config{Node: n, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx, ln)
	}()
	defer func() { cancel(); <-ended }()
	a.h.AttachWorkers(s)
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintln(nc, `{"type":"hello","name":"w"}`)
	fmt.Fprintln(nc, `{"type":"do","actions":[{"do":"send","id":"nobody","text":"x"}]}`)
	fmt.Fprintln(nc, `{"type":"leave"}`)
	until(t, "the end of the session", func() bool { return s.Stats().Ended["left"] == 1 })
	samples, _ = scrape(a)
	for family, labels := range map[string]string{
		"flamingo_attach_actions_total": "", "flamingo_attach_actions_failed_total": "",
		"flamingo_attach_sessions_ended_total": `reason="left"`,
	} {
		if got := valueOf(t, samples, family, labels); got != 1 {
			t.Errorf("%s is %v, want 1", family, got)
		}
	}
	if got := valueOf(t, samples, "flamingo_attach_sessions_ended_total", `reason="stalled"`); got != 0 {
		t.Errorf("%v sessions have stalled", got)
	}
}
