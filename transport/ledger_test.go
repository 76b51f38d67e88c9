package transport_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"flamingo/transport"
)

// A ledger is what connections cost a process: after an attack it has to be
// what it was before.
type ledger struct {
	files         int
	goroutines    int
	registrations int // descriptors that epoll watches, Go's own included
	slots         int
	wires         int
	addresses     int
	queued        int64 // bytes received and not done with
	pending       int64 // bytes accepted and not written
	heap          int64 // bytes of live objects
}

// heapSlack is how many bytes more than before may be in use: what pools and
// tables that have grown keep, and the tests themselves.
const heapSlack = 16 << 20

func openLedger(t *transport.Transport) ledger {
	l := ledger{files: openFiles(), goroutines: runtime.NumGoroutine(), registrations: registrations()}
	l.slots, l.wires, l.addresses = t.Held()
	st := t.Stats()
	l.queued, l.pending = st.QueuedBytes, st.PendingBytes
	return l
}

// withHeap adds the bytes of live objects, which takes a collection.
func (l ledger) withHeap() ledger {
	l.heap = heap()
	return l
}

// registrations counts what the epoll descriptors of the process watch, where
// that can be done.
func registrations() (n int) {
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		return 0
	}
	for _, name := range infos {
		if info, err := os.ReadFile(name); err == nil {
			n += bytes.Count(info, []byte("tfd:"))
		}
	}
	return n
}

// against lists what is more than it was before.
func (l ledger) against(before ledger) (more []string) {
	for _, c := range []struct {
		name     string
		got, was int64
	}{
		{"files", int64(l.files), int64(before.files)},
		{"goroutines", int64(l.goroutines), int64(before.goroutines)},
		{"registrations", int64(l.registrations), int64(before.registrations)},
		{"slots", int64(l.slots), int64(before.slots)},
		{"wires", int64(l.wires), int64(before.wires)},
		{"addresses", int64(l.addresses), int64(before.addresses)},
		{"queued", l.queued, before.queued},
		{"pending", l.pending, before.pending},
		{"heap", l.heap, before.heap + heapSlack},
	} {
		if c.got > c.was {
			more = append(more, fmt.Sprintf("%s: %d, before %d", c.name, c.got, c.was))
		}
	}
	return more
}

// settle fails the test unless everything comes back to what it was.
func (l ledger) settle(tb testing.TB, t *transport.Transport) {
	tb.Helper()
	before := l
	before.heap = 0
	var more []string
	defer func() {
		if tb.Failed() && len(more) > 0 {
			tb.Logf("left behind: %s", strings.Join(more, "; "))
		}
	}()
	eventually(tb, "the end of every connection", func() bool {
		more = openLedger(t).against(before)
		return len(more) == 0
	})
	if more = openLedger(t).withHeap().against(l); len(more) > 0 {
		tb.Error("something is left behind")
	}
}

// TestLedgerFindsWhatIsLeft is the negative control of the tests that use it.
func TestLedgerFindsWhatIsLeft(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			tr, _ := serve(t, func(c *transport.Config) {
				driver.configure(c)
				c.Listeners[0].MaxConnsPerAddress = 10
				c.OutputBytes = 64 << 20
			})
			before := openLedger(tr).withHeap()
			nc := connect(t, tr)
			c, _ := tr.RecvOpen()
			for range 30 { // more than the kernel holds
				if err := tr.SendData(c.ID(), make([]byte, 1<<20-1)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := nc.Write([]byte("not taken\n")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the message", func() bool { return tr.Stats().QueuedMessages == 1 })
			var found []string
			eventually(t, "every difference", func() bool {
				found = openLedger(tr).withHeap().against(before)
				for _, name := range []string{"files", "registrations", "slots", "wires", "addresses", "queued", "pending", "heap"} {
					if !strings.Contains(strings.Join(found, ";"), name) && (name != "registrations" || registrations() > 0) {
						return false
					}
				}
				return true
			})
			t.Logf("found %q", found)
		})
	}
}
