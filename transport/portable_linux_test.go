package transport_test

import (
	"log/slog"
	"os"
	"syscall"
	"testing"

	"flamingo/transport"
)

func TestPortableWaitsWhenFilesRunOut(t *testing.T) {
	log := lineLog{make(chan string, 100)}
	r := startPortable(t, func(c *transport.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	r.dial() // so that whatever the first connection opens is open
	r.open()

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	lowest := uint64(f.Fd())
	f.Close()
	// Room for the client's socket, not for the server's.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: lowest + 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	r.dial()
	log.expect(t, "too many open files")
	if n := r.Stats().AcceptPauses; n < 5 || n > 20 {
		t.Errorf("accepting paused %d times in a second", n)
	}
	restore()
	r.open()
	log.expect(t, "accepting again")
}
