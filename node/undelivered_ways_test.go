package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
)

// A wayToFail is a way in which messages that were accepted are not delivered.
type wayToFail struct {
	remote, local bool // whether that can be, from another node and from the client's own
	timed, plain  bool // whether it can be, by SendDataBefore and by SendData
	set           func(*node.Opts)
	text          string        // of each message; empty: 4 KiB
	within        time.Duration // of SendDataBefore
	before        func(*sendingCase)
	after         func(*sendingCase)
	outcomes      []error // those that may be reported; the first one is
}

// A sendingCase is one node that sends to one client, at the owner.
type sendingCase struct {
	t             *testing.T
	world         *world
	sender, owner *node.Node
	client        *client
	id            node.ID
	accepted      int
}

// prime has the client's output be full of what was begun, so that what comes next
// waits behind it.
func (s *sendingCase) prime() {
	for range 2 {
		if err := s.sender.SendData(s.id, make([]byte, 64<<10)); err != nil {
			s.t.Fatal(err)
		}
		s.accepted++
		<-time.After(100 * time.Millisecond)
	}
}

// close gives n the time that it takes in production.
func (s *sendingCase) close(n *node.Node) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		s.t.Errorf("Close: %v", err)
	}
}

var waysToFail = map[string]wayToFail{
	"client ends with output queued": {
		remote: true, local: true, timed: true, plain: true, within: time.Hour,
		after:    func(s *sendingCase) { s.client.Close() },
		outcomes: []error{node.ErrGone, node.ErrUncertain},
	},
	"drop newest": {
		remote: true, local: true, timed: true, plain: true, within: time.Hour,
		set:      func(o *node.Opts) { o.SlowClient, o.OutputBytes = node.SlowDropNewest, 64<<10 },
		after:    func(s *sendingCase) { go readLines(s.client) },
		outcomes: []error{node.ErrBackpressure},
	},
	"slow client is closed": {
		remote: true, local: true, timed: true, plain: true, within: time.Hour,
		set:      func(o *node.Opts) { o.SlowClient, o.OutputBytes = node.SlowClose, 64<<10 },
		outcomes: []error{node.ErrGone, node.ErrUncertain},
	},
	"owner is out of reach for good": {
		remote: true, timed: true, plain: true, within: time.Hour,
		before:   func(s *sendingCase) { s.world.isolate(2) },
		outcomes: []error{node.ErrUnreachable},
	},
	"owner refuses": {
		remote: true, timed: true, plain: true, within: time.Hour, text: "two\nlines",
		outcomes: []error{node.ErrUnframeable},
	},
	"owner closes": {
		remote: true, local: true, timed: true, plain: true, within: time.Hour,
		after:    func(s *sendingCase) { s.close(s.owner) },
		outcomes: []error{node.ErrGone, node.ErrUncertain},
	},
	"sender closes": {
		remote: true, timed: true, plain: true, within: time.Hour,
		before:   func(s *sendingCase) { s.world.isolate(2) },
		after:    func(s *sendingCase) { s.close(s.sender) },
		outcomes: []error{node.ErrClosed, node.ErrUnreachable},
	},
	"too late": {
		remote: true, local: true, timed: true, within: time.Second,
		before:   (*sendingCase).prime,
		after:    func(s *sendingCase) { <-time.After(2 * time.Second); go readLines(s.client) },
		outcomes: []error{node.ErrExpired},
	},
	"too late on the way": {
		remote: true, timed: true, within: time.Second,
		before:   func(s *sendingCase) { s.world.isolate(2) },
		after:    func(s *sendingCase) { <-time.After(2 * time.Second); s.world.Heal() },
		outcomes: []error{node.ErrExpired},
	},
}

// TestWhatWasAcceptedIsWrittenOrReportedOnce goes through every way in which an
// accepted message is lost, by each kind of send without an answer: as many are
// accepted as are written or reported, by the sender's node or, of what was in the
// client's queue, by the owner.
func TestWhatWasAcceptedIsWrittenOrReportedOnce(t *testing.T) {
	for name, way := range waysToFail {
		for _, remote := range []bool{true, false} {
			for _, timed := range []bool{true, false} {
				if remote && !way.remote || !remote && !way.local || timed && !way.timed || !timed && !way.plain {
					continue
				}
				from, by := "here", "SendData"
				if remote {
					from = "another node"
				}
				if timed {
					by = "SendDataBefore"
				}
				t.Run(strings.Join([]string{name, from, by}, "/"), func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) { way.run(t, w, remote, timed) })
				})
			}
		}
	}
}

func (way wayToFail) run(t *testing.T, w *world, remote, timed bool) {
	opts := w.fabric()
	opts[2].OutputBytes = 4 << 20
	if way.set != nil {
		way.set(&opts[2])
	}
	nodes := w.openAll(opts)
	s := &sendingCase{t: t, world: w, sender: nodes[2], owner: nodes[2]}
	s.client, s.id = w.connect(s.owner)
	go func() {
		for id, why := range s.owner.Closes() {
			_, _ = id, why // or Close would wait for it
		}
	}()
	told := []<-chan notice{watchUndelivered(s.owner)}
	if remote {
		s.sender = nodes[0]
		told = append(told, watchUndelivered(s.sender))
	}
	if way.before != nil {
		way.before(s)
	}
	way.send(s, timed)
	<-time.After(100 * time.Millisecond)
	if way.after != nil {
		way.after(s)
	}
	<-time.After(30 * time.Second)
	s.client.Close()
	<-time.After(time.Second)
	written := int(s.owner.Stats().MessagesOut)
	s.close(s.sender)
	s.close(s.owner)
	synctest.Wait()

	reported, first := 0, 0
	for _, notices := range told {
		for n := range notices {
			reported++
			if n.id != s.id || !isAny(n.err, way.outcomes) {
				t.Errorf("notice %v of %s, want one of %v of %s", n.err, n.id, way.outcomes, s.id)
			}
			if errors.Is(n.err, way.outcomes[0]) {
				first++
			}
		}
	}
	if s.accepted != written+reported || first == 0 {
		t.Errorf("%d accepted, %d written and %d reported, %d of them %v", s.accepted, written, reported, first, way.outcomes[0])
	}
}

// send sends 200 messages.
func (way wayToFail) send(s *sendingCase, timed bool) {
	msg := []byte(way.text)
	if len(msg) == 0 {
		msg = []byte(strings.Repeat("m", 4<<10))
	}
	deadline := time.Now().Add(way.within)
	for range 200 {
		var err error
		if timed {
			err = s.sender.SendDataBefore(deadline, s.id, msg)
		} else {
			err = s.sender.SendData(s.id, msg)
		}
		switch {
		case err == nil:
			s.accepted++
		case !errors.Is(err, node.ErrBackpressure) && !errors.Is(err, node.ErrGone):
			s.t.Fatalf("send: %v", err)
		}
	}
}

// TestMessageThatIsBegunInTimeIsNoLoss: the client takes the rest of it too late, and
// nothing is reported of what is written in the end, from wherever it comes.
func TestMessageThatIsBegunInTimeIsNoLoss(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		for _, from := range []*node.Node{nodes[0], nodes[2]} {
			c, id := w.connect(nodes[2])
			msg := strings.Repeat("m", 256<<10)
			if err := from.SendDataBefore(time.Now().Add(time.Second), id, []byte(msg)); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * time.Second)
			c.expect(msg)
			<-time.After(time.Second)
			if st := from.Stats(); st.Undelivered != 0 {
				t.Errorf("%d reported that were written, from node %v", st.Undelivered, from == nodes[2])
			}
		}
	})
}

func isAny(err error, outcomes []error) bool {
	for _, o := range outcomes {
		if errors.Is(err, o) {
			return true
		}
	}
	return false
}
