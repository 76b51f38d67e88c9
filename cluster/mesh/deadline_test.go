package mesh_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A lossyConn loses what is written while lost is set, and sets it after one
// further write while last is: it was handed to the network, and the peer does not
// have it.
type lossyConn struct {
	net.Conn
	lost, last *atomic.Bool
}

func (c lossyConn) Write(p []byte) (int, error) {
	if c.lost.Load() {
		return len(p), nil
	}
	c.lost.Store(c.last.Swap(false))
	return c.Conn.Write(p)
}

// A deadlineRig is two nodes of which the second tells with what deadline it was
// to deliver each message.
type deadlineRig struct {
	a, b       *node
	shut, lost atomic.Bool // dials fail; what is written is lost
	last       atomic.Bool // what is written behind the next write is lost
	refuse     error       // what the owner answers; nil: written

	mu        sync.Mutex
	deadlines []time.Time // zero for none
}

func inDeadlineRig(t *testing.T, f func(t *testing.T, r *deadlineRig)) {
	t.Helper()
	d := &deadlineRig{}
	bubble(t, func(r *rig) {
		gated(&d.shut)(r)
		r.wrap = func(_, _ *node, c net.Conn) net.Conn { return lossyConn{c, &d.lost, &d.last} }
	}, func(t *testing.T, a, b *node) {
		d.a, d.b = a, b
		b.written = func(id idspace.ID, msg []byte, timeout time.Duration, done func(error)) {
			due := time.Time{}
			if timeout > 0 {
				due = time.Now().Add(timeout)
			}
			d.mu.Lock()
			d.deadlines = append(d.deadlines, due)
			d.mu.Unlock()
			if d.refuse != nil {
				done(d.refuse)
				return
			}
			done(b.Deliver(id, mesh.KindDefault, msg))
		}
		if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, []byte("first")); err != nil {
			t.Fatal(err)
		}
		flush(t, a)
		synctest.Wait()
		f(t, d)
	})
}

// breakLink cuts the link; what is sent from now on waits for the peer to be back.
func (r *deadlineRig) breakLink() {
	r.shut.Store(true)
	r.a.rig.cut()
	synctest.Wait()
}

// losing has what is sent from now on be handed to the network and lost.
func (r *deadlineRig) losing() { r.lost.Store(true) }

// mend lets the peer be reached again.
func (r *deadlineRig) mend() {
	r.lost.Store(false)
	r.shut.Store(false)
	r.a.rig.cut()
	after(2 * time.Second)
}

var (
	shortMessage = []byte("short")
	longMessage  = []byte(strings.Repeat("long", 50<<10)) // in parts
)

// eachDelay runs f for messages that wait to be sent and for such as are sent
// again, in one frame and in parts.
func eachDelay(t *testing.T, f func(t *testing.T, r *deadlineRig, msg []byte, handed bool)) {
	for name, handed := range map[string]bool{"queued": false, "handed": true} {
		for size, msg := range map[string][]byte{"short": shortMessage, "long": longMessage} {
			t.Run(name+" "+size, func(t *testing.T) {
				inDeadlineRig(t, func(t *testing.T, r *deadlineRig) {
					if handed {
						r.losing()
					} else {
						r.breakLink()
					}
					f(t, r, msg, handed)
				})
			})
		}
	}
}

// TestDeadlineIsTheSameAfterAnOutage: the owner is told how much time is left by
// then, not how much there was.
func TestDeadlineIsTheSameAfterAnOutage(t *testing.T) {
	eachDelay(t, func(t *testing.T, r *deadlineRig, msg []byte, _ bool) {
		begin := time.Now()
		deadline := begin.Add(9 * time.Second)
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		defer cancel()
		outcome := make(chan error, 1)
		go func() { outcome <- r.a.To(r.b.boot).Send(ctx, idOf(2, 1), mesh.KindDefault, msg) }()
		synctest.Wait()
		if err := r.a.To(r.b.boot).SendBefore(deadline, idOf(2, 2), mesh.KindDefault, msg); err != nil {
			t.Fatal(err)
		}
		after(3 * time.Second)
		r.mend()
		if err := <-outcome; err != nil {
			t.Errorf("Send: %v", err)
		}
		flush(t, r.a)
		if len(r.deadlines) != 2 {
			t.Fatalf("%d messages came, want 2", len(r.deadlines))
		}
		for k, due := range r.deadlines {
			if late := due.Sub(deadline); late < 0 || late > 2*time.Millisecond {
				t.Errorf("message %d may be written until %v after its deadline", k, late)
			}
		}
		if lost := r.a.losses(); len(lost) > 0 {
			t.Errorf("lost %v", lost)
		}
	})
}

// TestTimeBetweenThePartsOfAMessageIsCounted: the first comes at once, the others
// after an outage.
func TestTimeBetweenThePartsOfAMessageIsCounted(t *testing.T) {
	for _, in := range []time.Duration{9 * time.Second, 2 * time.Second} {
		inDeadlineRig(t, func(t *testing.T, r *deadlineRig) {
			deadline := time.Now().Add(in)
			r.last.Store(true)
			if err := r.a.To(r.b.boot).SendBefore(deadline, idOf(2, 2), mesh.KindDefault, longMessage); err != nil {
				t.Fatal(err)
			}
			after(3 * time.Second)
			r.mend()
			flush(t, r.a)
			expired := r.a.losses()[idOf(2, 2)][mesh.OutcomeExpired]
			switch {
			case in < 3*time.Second && (expired != 1 || len(r.deadlines) != 0):
				t.Errorf("%d expired, %d came; want the one expired", expired, len(r.deadlines))
			case in > 3*time.Second && (expired != 0 || len(r.deadlines) != 1):
				t.Errorf("%d expired, %d came; want it to have come", expired, len(r.deadlines))
			case in > 3*time.Second && r.deadlines[0].Sub(deadline).Abs() > 2*time.Millisecond:
				t.Errorf("it may be written until %v after its deadline", r.deadlines[0].Sub(deadline))
			}
		})
	}
}

// TestWhatIsTooLateIsNotSent: also what was handed to the network, if the peer
// says that it does not have it.
func TestWhatIsTooLateIsNotSent(t *testing.T) {
	eachDelay(t, func(t *testing.T, r *deadlineRig, msg []byte, handed bool) {
		id := idOf(2, 1)
		if err := r.a.To(r.b.boot).SendBefore(time.Now().Add(2*time.Second), id, mesh.KindDefault, msg); err != nil {
			t.Fatal(err)
		}
		if err := r.a.To(r.b.boot).SendData(id, mesh.KindDefault, []byte("last")); err != nil {
			t.Fatal(err)
		}
		after(3*time.Second + time.Millisecond) // DeadAfter is longer
		if told := r.a.losses()[id][mesh.OutcomeExpired]; !handed && told != 1 {
			t.Errorf("a second after the deadline: lost %v", r.a.losses())
		}
		r.mend()
		flush(t, r.a)
		if got := r.b.messages(id); len(got) != 2 || got[1] != "last" {
			t.Errorf("%d messages came", len(got))
		}
		if lost := r.a.losses(); len(lost) != 1 || len(lost[id]) != 1 || lost[id][mesh.OutcomeExpired] != 1 {
			t.Errorf("lost %v, want one message expired", lost)
		}
		if p := r.a.peer(r.b.boot); p.Waits != 0 || p.QueueBytes != 0 {
			t.Errorf("left: %+v", p)
		}
	})
}

func TestOwnersAnswerToAMessageWithADeadlineIsTold(t *testing.T) {
	for _, refuse := range []error{nil, mesh.ErrGone, mesh.ErrBackpressure, mesh.ErrExpired, mesh.ErrUncertain} {
		inDeadlineRig(t, func(t *testing.T, r *deadlineRig) {
			id, want := idOf(2, 1), 0
			if r.refuse = refuse; refuse != nil {
				want = 1
			}
			if err := r.a.To(r.b.boot).SendBefore(time.Now().Add(time.Second), id, mesh.KindDefault, shortMessage); err != nil {
				t.Fatal(err)
			}
			flush(t, r.a)
			after(3 * time.Second)
			lost := r.a.losses()
			if r.a.lossCount() != want || want == 1 && lost[id][outcomeOf(refuse)] != 1 {
				t.Errorf("the owner said %v: lost %v", refuse, lost)
			}
			if p := r.a.peer(r.b.boot); p.Waits != 0 {
				t.Errorf("left: %+v", p)
			}
		})
	}
}

// TestPeerThatStaysAwayEndsMessagesWithADeadline: what was handed over may have
// arrived.
func TestPeerThatStaysAwayEndsMessagesWithADeadline(t *testing.T) {
	eachDelay(t, func(t *testing.T, r *deadlineRig, msg []byte, handed bool) {
		id, want := idOf(2, 1), mesh.OutcomeUnreachable
		if handed {
			want = mesh.OutcomeUncertain
		}
		if err := r.a.To(r.b.boot).SendBefore(time.Now().Add(time.Hour), id, mesh.KindDefault, msg); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.breakLink()
		after(30 * time.Second)
		if lost := r.a.losses(); r.a.lossCount() != 1 || lost[id][want] != 1 {
			t.Errorf("lost %v, want one %v", lost, want)
		}
	})
}

func TestSendBeforeRefusesWhatItCannotKeep(t *testing.T) {
	inDeadlineRig(t, func(t *testing.T, r *deadlineRig) {
		id := idOf(2, 1)
		if err := r.a.To(r.b.boot).SendBefore(time.Now(), id, mesh.KindDefault, shortMessage); !errors.Is(err, mesh.ErrExpired) {
			t.Errorf("a deadline that has passed: %v", err)
		}
		r.losing()
		var err error
		sent := 0
		for ; err == nil && sent <= mesh.DefaultMaxWaits; sent++ {
			err = r.a.To(r.b.boot).SendBefore(time.Now().Add(time.Second), id, mesh.KindDefault, shortMessage)
		}
		if sent != mesh.DefaultMaxWaits+1 || !errors.Is(err, mesh.ErrBackpressure) {
			t.Errorf("message %d: %v", sent, err)
		}
		r.mend()
		flush(t, r.a)
		if got := r.a.lossCount() + len(r.b.messages(id)) - 1; got != mesh.DefaultMaxWaits {
			t.Errorf("%d messages have an outcome", got)
		}
	})
}

func TestStageThatTheOwnerDoesNotKnowIsRefused(t *testing.T) {
	inDeadlineRig(t, func(t *testing.T, r *deadlineRig) {
		err := r.a.To(r.b.boot).SendTo(t.Context(), idOf(2, 1), mesh.KindDefault, 7, shortMessage)
		if !errors.Is(err, mesh.ErrNoAck) || len(r.deadlines) != 0 {
			t.Errorf("stage 7: %v, %d messages taken", err, len(r.deadlines))
		}
	})
}
