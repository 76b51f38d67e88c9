package attach_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
	"flamingo/node/attach"
)

func data(event, k int, text string) frame {
	return frame{"type": "data", "event": event, "id": conn(k).String(), "text": text}
}

func TestWorkerIsTheApplication(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.attach("w", 10)
		r.tell(opened(1), said(1, "hello"))
		w.expect(frame{"type": "open", "event": 1, "id": conn(1).String()})
		w.expect(data(2, 1, "hello"))
		w.say(done(1, 2, send(1, "hi"), frame{"do": "join", "id": conn(1).String(), "group": "room"}))
		r.tell(over(1))
		w.expect(frame{"type": "closed", "event": 3, "id": conn(1).String(), "reason": "client"})
		w.say(frame{"type": "done", "request": 9, "first": 3, "last": 3})
		w.expect(frame{"type": "result", "request": 9})
		want := []string{"send " + conn(1).String() + " 0 hi", "join " + conn(1).String() + " room"}
		if got := r.deeds(); !slices.Equal(got, want) {
			t.Errorf("done: %q, want %q", got, want)
		}
		st := r.server.Stats()
		if st.Taken != 3 || st.Sent != 3 || st.Acknowledged != 3 || st.Again != 0 || st.Out != 0 || st.Sticky != 0 || st.Actions != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestNoEventIsLostWhileNobodyIsThere(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		r.tell(opened(1), opened(2), said(1, "a"))
		r.tell(said(2, "b"), said(1, "c"))
		synctest.Wait()
		if st := r.server.Stats(); st.Waiting != 5 {
			t.Errorf("%d events wait, want 5", st.Waiting)
		}
		w := r.attach("late", 10)
		for k, text := range []string{"", "", "a", "b", "c"} {
			f := w.expect(frame{"event": k + 1})
			if text != "" && f["text"] != text {
				t.Errorf("event %d: %v, want %q", k+1, f, text)
			}
		}
	})
}

// What a worker leaves goes to the one that takes over, before anything new, with a
// flag on what was sent before; what waits behind the window has none.
func TestTakeOverKeepsTheOrder(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		a := r.attach("a", 3)
		r.tell(opened(1), said(1, "m1"), said(1, "m2"), said(1, "m3"))
		a.expect(frame{"type": "open", "event": 1})
		a.expect(data(2, 1, "m1"))
		a.expect(data(3, 1, "m2"))
		a.expectNone()
		a.say(done(2, 2)) // the one in the middle
		b := r.attach("b", 10)
		a.Close()
		synctest.Wait()
		r.tell(said(1, "m4"))
		b.expect(frame{"type": "open", "event": 1, "again": 1})
		b.expect(frame{"type": "data", "event": 2, "text": "m2", "again": 1})
		if f := b.expect(data(3, 1, "m3")); f["again"] != nil {
			t.Errorf("again of an event that was never sent: %v", f)
		}
		if f := b.expect(data(4, 1, "m4")); f["again"] != nil {
			t.Errorf("again of a new event: %v", f)
		}
		b.say(done(1, 4))
		synctest.Wait()
		if st := r.server.Stats(); st.Again != 2 || st.Acknowledged != 5 {
			t.Errorf("stats %+v", st)
		}
	})
}

// A connection stays with its worker, whoever comes; when that one goes, its own move
// and no other.
func TestConnectionSticksToItsWorker(t *testing.T) {
	const conns = 100
	inRig(t, nil, func(t *testing.T, r *rig) {
		names := []string{"a", "b", "c"}
		workers := map[string]*worker{}
		owner := map[string]string{}
		next := map[string]int{}
		take := func(name string, count int) {
			for range count {
				f := workers[name].next()
				id := f["id"].(string)
				if was := owner[id]; was != "" && was != name && workers[was] != nil {
					t.Fatalf("%s went to %s, and %s is there", id, name, was)
				}
				owner[id] = name
				next[name]++
				workers[name].say(done(next[name], next[name]))
			}
		}
		takeAll := func() {
			for name, w := range workers {
				synctest.Wait()
				for len(w.frames) > 0 {
					take(name, len(w.frames))
					synctest.Wait()
				}
			}
		}
		for round, name := range names {
			workers[name] = r.attach(name, 1000)
			for k := range conns {
				r.tell(opened(round*conns + k))
			}
			for k := range (round + 1) * conns {
				r.tell(said(k, fmt.Sprint(round)))
			}
			takeAll()
		}
		per := map[string]int{}
		for _, name := range owner {
			per[name]++
		}
		if len(owner) != 3*conns || per["b"] < conns/2 || per["c"] < conns/5 {
			t.Errorf("%d connections, by worker %v", len(owner), per)
		}
		workers["b"].Close()
		delete(workers, "b")
		synctest.Wait()
		for k := range 3 * conns {
			r.tell(said(k, "after"))
		}
		takeAll()
	})
}

func TestWindowBoundsWhatIsOut(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.attach("w", 2)
		r.tell(said(1, "a"), said(1, "b"), said(1, "c"), said(1, "d"))
		w.expect(data(1, 1, "a"))
		w.expect(data(2, 1, "b"))
		w.say(done(2, 2)) // the window begins at the oldest
		w.expectNone()
		w.say(done(1, 1))
		w.expect(data(3, 1, "c"))
		w.expect(data(4, 1, "d"))
		w.say(frame{"type": "window", "events": 0}, done(3, 4))
		r.tell(said(1, "e"))
		w.expectNone()
		w.say(frame{"type": "window", "events": 9, "bytes": 4})
		w.expect(data(5, 1, "e"))
		r.tell(said(1, "123"), said(1, "4"), said(1, "12345"))
		w.expect(data(6, 1, "123"))
		w.expectNone() // 4 bytes are out
		w.say(done(5, 6))
		w.expect(data(7, 1, "4"))
		w.expectNone()
		w.say(done(7, 7))
		w.expect(data(8, 1, "12345")) // more than the window, alone
	})
}

func TestLeaveGoesWithoutAnythingComingAgain(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		a := r.attach("a", 10)
		r.tell(said(1, "one"))
		a.expect(data(1, 1, "one"))
		a.say(frame{"type": "leave"})
		b := r.attach("b", 10)
		synctest.Wait()
		r.tell(said(1, "two"), said(2, "new"))
		b.expect(data(1, 2, "new")) // the other connection goes where somebody stays
		b.expectNone()
		a.expectNone()
		a.say(done(1, 1, send(1, "answer")))
		a.expectEnd("left")
		if f := b.expect(data(2, 1, "two")); f["again"] != nil {
			t.Errorf("again: %v", f)
		}
		if got := r.deeds(); len(got) != 1 {
			t.Errorf("done: %q", got)
		}
	})
}

func TestWorkerOfTheSameNameTakesOver(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		a := r.attach("same", 10)
		other := r.attach("other", 10)
		for k := range 10 {
			r.tell(said(k, "x"))
		}
		synctest.Wait()
		before := len(a.frames)
		if before == 0 {
			t.Fatal("no connection for this name")
		}
		again := r.attach("same", 10)
		for len(a.frames) > 1 {
			a.next()
		}
		a.expectEnd("replaced")
		for range before {
			again.expect(frame{"type": "data", "again": 1})
		}
		again.expectNone()
		if len(other.frames) != 10-before {
			t.Errorf("%d of %d events at the other worker", len(other.frames), 10-before)
		}
	})
}

func TestDeadWorkersAreReplaced(t *testing.T) {
	tests := []struct {
		reason string
		after  time.Duration
		late   time.Duration
		be     func(*rig) *worker
	}{
		{"stalled", time.Minute, 5 * time.Second, func(r *rig) *worker { return r.attach("dead", 10) }},
		{"silent", 30 * time.Second, 0, func(r *rig) *worker {
			w := r.dial()
			go w.listen(false)
			w.say(frame{"type": "hello", "events": 10})
			w.expect(frame{"type": "welcome"})
			return w
		}},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			inRig(t, nil, func(t *testing.T, r *rig) {
				w := tt.be(r)
				r.tell(said(1, "x"))
				w.expect(data(1, 1, "x"))
				begin := time.Now()
				w.expectEnd(tt.reason)
				if d := time.Since(begin); d < tt.after || d > tt.after+tt.late {
					t.Errorf("ended after %v, want %v and at most %v more", d, tt.after, tt.late)
				}
				r.attach("heir", 10).expect(frame{"type": "data", "text": "x", "again": 1})
				if ended := r.server.Stats().Ended[tt.reason]; ended != 1 {
					t.Errorf("%d sessions counted as %s, want 1", ended, tt.reason)
				}
			})
		})
	}
}

// A worker that does not read is ended, and others do not wait for it.
func TestWorkerThatDoesNotReadIsEnded(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.dial()
		w.say(frame{"type": "hello", "name": "deaf", "events": 10})
		r.tell(said(1, "x"))
		begin := time.Now()
		other := r.dial()
		go other.listen(true)
		for time.Since(begin) < 25*time.Second { // alive, but deaf
			<-time.After(5 * time.Second)
			w.say(frame{"type": "pong"})
		}
		<-time.After(6 * time.Second)
		synctest.Wait()
		if ended := r.server.Stats().Ended; ended["stuck"] != 1 {
			t.Errorf("ended %v, want one as stuck", ended)
		}
		other.Close()
	})
}

func TestSessionThatWorksLivesOn(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.attach("w", 10)
		for k := range 60 {
			<-time.After(time.Minute)
			r.tell(said(1, fmt.Sprint(k)))
			w.expect(data(k+1, 1, fmt.Sprint(k)))
			w.say(done(k+1, k+1))
		}
	})
}

func TestWhatBreaksTheProtocolEndsTheSession(t *testing.T) {
	one := conn(1).String()
	tests := map[string]string{
		"not JSON":               `{"type":`,
		"no such frame":          `{"type":"nothing"}`,
		"a frame of the node":    `{"type":"end"}`,
		"a second hello":         `{"type":"hello"}`,
		"a member too many":      `{"type":"leave","now":true}`,
		"not out yet":            `{"type":"done","first":1,"last":3}`,
		"none":                   `{"type":"done"}`,
		"backwards":              `{"type":"done","first":2,"last":1}`,
		"negative":               `{"type":"done","first":-1,"last":1}`,
		"no such action":         `{"type":"done","first":1,"last":1,"actions":[{"do":"send","id":"` + one + `","text":"x"},{"do":"dance"}]}`,
		"action with wrong type": `{"type":"done","first":1,"last":1,"actions":[{"do":"send","id":"` + one + `","text":"x"},{"do":"join","id":5}]}`,
		"ask without request":    `{"type":"ask","what":"groups","id":"` + one + `"}`,
		"window too large":       `{"type":"window","events":65537}`,
		"text and base64":        `{"type":"do","actions":[{"do":"send","id":"` + one + `","text":"x","base64":"eA=="}]}`,
	}
	for name, line := range tests {
		t.Run(name, func(t *testing.T) {
			inRig(t, nil, func(t *testing.T, r *rig) {
				w := r.attach("w", 10)
				r.tell(opened(1), said(1, "x"))
				w.expect(frame{"event": 1})
				w.expect(frame{"event": 2})
				if _, err := w.Write([]byte(line + "\n")); err != nil {
					t.Fatal(err)
				}
				w.expectEnd("protocol")
				heir := r.attach("heir", 10) // nothing is lost, and nothing was done
				heir.expect(frame{"type": "open", "again": 1})
				heir.expect(frame{"type": "data", "again": 1})
				if did := r.deeds(); len(did) != 0 {
					t.Errorf("done: %q", did)
				}
			})
		})
	}
}

func TestEventIsAcknowledgedOnce(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.attach("w", 10)
		r.tell(said(1, "a"), said(1, "b"), said(1, "c"))
		for range 3 {
			w.next()
		}
		w.say(done(2, 2), done(1, 3, send(1, "not to be sent")))
		w.expectEnd("protocol")
		if did := r.deeds(); len(did) != 0 {
			t.Errorf("done: %q", did)
		}
	})
}

func TestTokensAndScopes(t *testing.T) {
	const events, sends, reads, all = "events-0123456789", "sends-0123456789a", "reads-0123456789a", "all-0123456789abc"
	file := "# workers\n" + events + " events\n\n" + sends + "\tsend\n" + reads + " read\n" + all + " send,events,read\n"
	tokens, err := attach.ParseTokens(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	act := frame{"type": "do", "request": 1, "actions": []frame{send(1, "x")}}
	ask := frame{"type": "ask", "request": 2, "what": "groups", "id": conn(1).String()}
	tests := []struct {
		token         string
		window        int
		end, act, ask string
	}{
		{"", 0, "unauthorized", "", ""},
		{"events-0123456788", 0, "unauthorized", "", ""},
		{events, 5, "", "forbidden", "forbidden"},
		{sends, 0, "", "accepted", "forbidden"},
		{sends, 5, "forbidden", "", ""},
		{reads, 0, "", "forbidden", "accepted"},
		{all, 5, "", "accepted", "accepted"},
	}
	for _, tt := range tests {
		inRig(t, func(c *attach.Config) { c.Tokens = tokens }, func(t *testing.T, r *rig) {
			w := r.dial()
			go w.listen(true)
			w.say(frame{"type": "hello", "token": tt.token, "events": tt.window})
			if tt.end != "" {
				w.expectEnd(tt.end)
				return
			}
			w.expect(frame{"type": "welcome"})
			w.say(act)
			w.expect(frame{"type": "result", "outcomes": []string{tt.act}})
			w.say(ask)
			w.expect(frame{"type": "answer", "request": 2, "outcome": tt.ask})
		})
	}
}

// An acknowledgement whose actions are not allowed is none.
func TestDoneWithoutTheScopeSendEndsTheSession(t *testing.T) {
	tokens, err := attach.ParseTokens(strings.NewReader("events-0123456789 events read"))
	if err != nil {
		t.Fatal(err)
	}
	inRig(t, func(c *attach.Config) { c.Tokens = tokens }, func(t *testing.T, r *rig) {
		hello := frame{"type": "hello", "token": "events-0123456789", "events": 5}
		w := r.dial()
		go w.listen(true)
		w.say(hello)
		w.expect(frame{"type": "welcome"})
		r.tell(said(1, "x"))
		w.expect(data(1, 1, "x"))
		w.say(done(1, 1, send(1, "y")))
		w.expectEnd("forbidden")
		heir := r.dial()
		go heir.listen(true)
		heir.say(hello)
		heir.expect(frame{"type": "welcome"})
		heir.expect(frame{"type": "data", "again": 1})
	})
}

func TestBadTokenFilesAreRefused(t *testing.T) {
	tests := map[string]string{
		"":                              "no token",
		"# nothing\n":                   "no token",
		"short\n":                       "line 1: a token of 5 bytes: allowed are 16 to 1024",
		"0123456789abcdef everything\n": `line 1: scope "everything": allowed are events, send and read`,
		"\n0123456789abcdef\n0123456789abcdef read\n": "line 3: the token of line 2",
	}
	for file, want := range tests {
		_, err := attach.ParseTokens(strings.NewReader(file))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "0123456789abcdef") {
			t.Errorf("%q: %v tells the token", file, err)
		}
	}
}

func TestOutcomesOfActions(t *testing.T) {
	one, two := conn(1).String(), conn(2).String()
	inRig(t, nil, func(t *testing.T, r *rig) {
		r.fail[conn(2)] = fmt.Errorf("send: %w", node.ErrGone)
		w := r.attach("", 0)
		w.say(frame{"type": "do", "request": 7, "actions": []frame{
			send(1, "a"), send(2, "b"),
			{"do": "send-many", "ids": []string{one, two, one}, "kind": "binary", "base64": "AP8="},
			{"do": "close", "id": one, "code": 4001, "reason": "bye"},
			{"do": "leave", "id": one, "group": "g"},
			{"do": "set-meta", "id": one, "key": "k", "value": "v"},
			{"do": "publish", "group": "g", "except": []string{two}, "kind": "text", "text": "p"},
			{"do": "publish", "group": "far"},
			{"do": "close-group", "group": "g"},
		}})
		w.expect(frame{"type": "result", "request": 7, "outcomes": []string{
			"accepted", "gone", "accepted", "gone", "accepted", "accepted", "accepted", "accepted", "accepted", "unreachable", "accepted",
		}})
		want := []string{
			"send " + one + " 0 a", "send " + two + " 0 b", "many " + one + " 2 \x00\xff", "many " + two + " 2 \x00\xff",
			"many " + one + " 2 \x00\xff", "close " + one + " 4001 bye", "leave " + one + " g", "meta " + one + " k=v",
			"publish g 1 p [" + two + "]", "publish far 0  []", "close-group g 0 ",
		}
		if got := r.deeds(); !slices.Equal(got, want) {
			t.Errorf("done:\n%q\nwant\n%q", got, want)
		}
	})
}

func TestAsks(t *testing.T) {
	one := conn(1).String()
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.attach("", 0)
		for k, tt := range []struct {
			ask     frame
			outcome string
			body    string
		}{
			{frame{"what": "describe", "id": one}, "accepted", `map[active:-6.21355968e+13 bytes_in:0`},
			{frame{"what": "groups", "id": one}, "accepted", "[a b]"},
			{frame{"what": "count", "name": "g"}, "accepted", "map[count:7 missing:[cedar]]"},
			{frame{"what": "members", "name": "g"}, "accepted", "map[members:[" + one + " " + conn(2).String() + "] more:true]"},
			{frame{"what": "members", "name": "g", "number": 1001}, "bad-request", ""},
			{frame{"what": "send", "id": one, "text": "x"}, "accepted", ""},
			{frame{"id": one}, "bad-request", ""},
		} {
			tt.ask["type"], tt.ask["request"] = "ask", k+1
			w.say(tt.ask)
			f := w.expect(frame{"type": "answer", "request": k + 1, "outcome": tt.outcome})
			if body := fmt.Sprint(f["body"]); tt.body != "" && !strings.HasPrefix(body, tt.body) || tt.body == "" && f["body"] != nil {
				t.Errorf("%v: body %v, want %s", tt.ask, body, tt.body)
			}
		}
	})
}

// Asks run beside each other and beside actions; one too many is answered at once.
func TestAsksAreBounded(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		r.wait = make(chan struct{})
		w := r.attach("", 0)
		for k := range 257 {
			w.say(frame{"type": "ask", "request": k + 1, "what": "send", "id": conn(k).String(), "number": 60_000})
		}
		w.expect(frame{"type": "answer", "request": 257, "outcome": "backpressure"})
		w.say(frame{"type": "do", "request": 300, "actions": []frame{send(1, "x")}})
		w.expect(frame{"type": "result", "request": 300})
		close(r.wait)
		for range 256 {
			w.expect(frame{"type": "answer", "outcome": "accepted"})
		}
		r.wait = nil
		w.say(frame{"type": "ask", "request": 1, "what": "send", "id": conn(1).String()})
		w.expect(frame{"type": "answer", "outcome": "accepted"})
	})
}

func TestAskExpires(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		r.wait = make(chan struct{})
		w := r.attach("", 0)
		begin := time.Now()
		w.say(frame{"type": "ask", "request": 1, "what": "send", "id": conn(1).String(), "number": 700})
		w.expect(frame{"type": "answer", "outcome": "expired"})
		if d := time.Since(begin); d != 700*time.Millisecond {
			t.Errorf("after %v, want 700ms", d)
		}
	})
}

// Answers that are not read do not pile up: there is a bound to the requests without.
func TestRequestsWithoutAnswerAreBounded(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.dial()
		w.say(frame{"type": "hello"})
		said := 0
		for ; said < 2000; said++ {
			_ = w.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := fmt.Fprintf(w, `{"type":"do","request":%d}`+"\n", said+1); err != nil {
				break
			}
		}
		if said < 1024 || said > 1026 {
			t.Errorf("%d requests were taken, want some 1024", said)
		}
		<-time.After(2 * time.Second)
		if ended := r.server.Stats().Ended; ended["protocol"] != 1 {
			t.Errorf("ended %v", ended)
		}
	})
}

func TestWatches(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.attach("", 0)
		ask := frame{"type": "ask", "request": 5, "what": "watch", "id": conn(1).String()}
		w.say(ask)
		w.expect(frame{"type": "answer", "request": 5, "outcome": "accepted"})
		w.say(ask)
		w.expect(frame{"type": "answer", "request": 5, "outcome": "bad-request"})
		r.seen <- node.WatchEvent{State: node.WatchUnreachable}
		w.expect(frame{"type": "watched", "request": 5, "state": "unreachable"})
		r.seen <- node.WatchEvent{State: node.WatchClosed, Reason: node.ReasonIdle, At: time.UnixMilli(1234)}
		w.expect(frame{"type": "watched", "request": 5, "state": "closed", "reason": "idle", "at": 1234})
		w.say(frame{"type": "ask", "request": 6, "what": "unwatch", "number": 5})
		w.say(ask) // at once: the end of the one before does not end it
		w.expect(frame{"type": "answer", "request": 6, "outcome": "accepted"})
		w.expect(frame{"type": "answer", "request": 5, "outcome": "accepted"})
		synctest.Wait()
		r.seen <- node.WatchEvent{State: node.WatchReachable}
		w.expect(frame{"type": "watched", "request": 5, "state": "reachable"})
	})
}

func TestStreamsWithoutHelloAreBounded(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		for range 65 {
			r.dial()
		}
		synctest.Wait()
		if n := r.server.Stats().Strangers; n != 1 {
			t.Errorf("%d strangers, want the one too many", n)
		}
		<-time.After(5*time.Second + time.Millisecond)
		synctest.Wait()
		if n := r.server.Stats().Strangers; n != 65 {
			t.Errorf("%d strangers after the time for a hello, want all 65", n)
		}
		r.attach("w", 1)
	})
}

func TestCloseOfTheNodeEndsSessions(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		w := r.attach("w", 1)
		close(r.over)
		w.expectEnd("closed")
		if err := <-r.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		r.ended <- nil
	})
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := attach.New(attach.Config{}); err == nil {
		t.Error("a server without a node")
	}
	_, err := attach.New(attach.Config{AckTimeout: time.Millisecond, Tokens: make([]attach.Token, 1)})
	if err == nil || !strings.Contains(err.Error(), "AckTimeout 1ms") || !strings.Contains(err.Error(), "Tokens") || !strings.Contains(err.Error(), "Node") {
		t.Errorf("%v, want all three faults", err)
	}
}

// Workers without a name are told apart: each has its share.
func TestWorkersWithoutANameShare(t *testing.T) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		a, b := r.attach("", 1000), r.attach("", 1000)
		for k := range 100 {
			r.tell(opened(k))
		}
		synctest.Wait()
		if x, y := len(a.frames), len(b.frames); x+y != 100 || x < 20 || y < 20 {
			t.Errorf("%d and %d connections of 100", x, y)
		}
	})
}
