package attach_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Workers that die at every point of what they say. Each answers every message with one
// send; what the node was made to do is judged at the end.

// A crash says after how many bytes of what it says a worker dies.
type crash struct {
	left  int
	whole bool // acknowledgements carry their sends
}

// run is the life of a worker, until it dies or the session ends.
func (c *crash) run(w *worker) {
	defer w.Close()
	for f := range w.frames {
		event := f["event"]
		if event == nil {
			continue
		}
		var actions []frame
		if f["type"] == "data" {
			actions = []frame{{"do": "send", "id": f["id"], "text": "re: " + f["text"].(string)}}
		}
		ack := frame{"type": "done", "first": event, "last": event}
		if c.whole {
			ack["actions"] = actions
			if !c.say(w, ack) {
				return
			}
		} else if !c.say(w, frame{"type": "do", "actions": actions}) || !c.say(w, ack) {
			return
		}
	}
}

// say writes a frame, or the part of it that comes before the death.
func (c *crash) say(w *worker, f frame) bool {
	line, err := json.Marshal(f)
	if err != nil {
		w.t.Error(err)
		return false
	}
	line = append(line, '\n')
	n := min(c.left, len(line))
	c.left -= n
	_, err = w.Write(line[:n])
	return err == nil && n == len(line)
}

// faultsOf says what is wrong with what the node was made to do for these messages: each
// is answered once, those of one connection in their order.
func faultsOf(did []string, perConn map[int]int) (faults []string) {
	next := make(map[string]int)
	for _, deed := range did {
		var id, re string
		var kind, seq int
		if _, err := fmt.Sscanf(deed, "send %s %d %s %d", &id, &kind, &re, &seq); err != nil {
			faults = append(faults, fmt.Sprintf("did %q", deed))
			continue
		}
		if want := next[id]; seq != want {
			faults = append(faults, fmt.Sprintf("%s: answer %d, want %d", id, seq, want))
		}
		next[id] = seq + 1
	}
	for k, n := range perConn {
		if got := next[conn(k).String()]; got != n {
			faults = append(faults, fmt.Sprintf("%s: %d answers, want %d", conn(k), got, n))
		}
	}
	return faults
}

// killAt has a worker answer ten messages of two connections that dies after so many
// bytes, and another one that takes over. It returns what the node did, and whether the first one died.
func killAt(t *testing.T, bytes int, whole bool) (did []string, perConn map[int]int, died bool) {
	inRig(t, nil, func(t *testing.T, r *rig) {
		first := &crash{left: bytes, whole: whole}
		w := r.attach("first", 4)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			first.run(w)
		}()
		perConn = map[int]int{1: 5, 2: 5}
		r.tell(opened(1), opened(2))
		for k := range 5 {
			r.tell(said(1, fmt.Sprint(k)), said(2, fmt.Sprint(k)))
		}
		synctest.Wait()
		select {
		case <-ended:
			died = true
		default:
		}
		heir := r.attach("heir", 4)
		second := &crash{left: 1 << 20, whole: whole}
		go second.run(heir)
		synctest.Wait()
		r.tell(over(1), over(2))
		synctest.Wait()
		did = r.deeds()
		for name, n := range r.fakeNode.done {
			if n != 1 {
				t.Errorf("%s was done with %d times", name, n)
			}
		}
		w.Close()
		heir.Close()
	})
	return did, perConn, died
}

func TestWorkerKilledAtEachByteLosesAndDoublesNothing(t *testing.T) {
	deaths := 0
	for at := 0; ; at++ {
		did, perConn, died := killAt(t, at, true)
		if faults := faultsOf(did, perConn); len(faults) > 0 {
			t.Fatalf("killed after %d bytes: %s", at, strings.Join(faults, "; "))
		}
		if !died {
			break
		}
		deaths++
	}
	if deaths < 500 {
		t.Errorf("%d points of death, want hundreds", deaths)
	}
}

// The judge finds what goes wrong when a worker sends first and acknowledges then.
func TestSendApartFromItsAcknowledgementIsFoundToDouble(t *testing.T) {
	for at := range 2000 {
		did, perConn, died := killAt(t, at, false)
		if len(faultsOf(did, perConn)) > 0 {
			return
		}
		if !died {
			break
		}
	}
	t.Error("a worker that acknowledges after its sends never doubles a message: the judge is blind")
}

func TestJudgeFindsWhatIsWrong(t *testing.T) {
	a := func(k int) string { return fmt.Sprintf("send %s 0 re: %d", conn(1), k) }
	perConn := map[int]int{1: 3}
	tests := map[string][]string{
		"lost":    {a(0), a(1)},
		"doubled": {a(0), a(1), a(1), a(2)},
		"order":   {a(1), a(0), a(2)},
		"strange": {a(0), a(1), a(2), "join x y"},
	}
	for name, did := range tests {
		if len(faultsOf(did, perConn)) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
	if faults := faultsOf([]string{a(0), a(1), a(2)}, perConn); len(faults) > 0 {
		t.Errorf("what is right: %v", faults)
	}
}

// Many connections, and workers that come and go all the time: by a broken stream at
// any byte, by leaving, by being replaced, by falling silent.
func TestStormOfWorkersLosesAndDoublesNothing(t *testing.T) {
	const conns, rounds = 20, 60
	for seed := range uint64(10) {
		inRig(t, nil, func(t *testing.T, r *rig) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			perConn := make(map[int]int)
			var live []*worker
			come := func(name string) {
				w := r.attach(name, 1+rnd.IntN(8))
				c := &crash{left: rnd.IntN(20_000), whole: true}
				go c.run(w)
				live = append(live, w)
			}
			for k := range conns {
				r.tell(opened(k))
			}
			for range rounds {
				for range rnd.IntN(30) {
					k := rnd.IntN(conns)
					r.tell(said(k, fmt.Sprint(perConn[k])))
					perConn[k]++
				}
				switch rnd.IntN(8) {
				case 0:
					if len(live) > 0 {
						live[rnd.IntN(len(live))].Close()
					}
				case 1:
					if len(live) > 0 {
						go live[rnd.IntN(len(live))].say(frame{"type": "leave"})
					}
				case 2:
					<-time.After(time.Duration(rnd.IntN(40)) * time.Second)
				case 3, 4:
					come(fmt.Sprint("w", rnd.IntN(4)))
				}
				if rnd.IntN(3) == 0 {
					synctest.Wait()
				}
			}
			last := r.attach("last", 64)
			go (&crash{left: 1 << 20, whole: true}).run(last)
			for _, w := range live {
				w.Close()
			}
			for k := range conns {
				r.tell(over(k))
			}
			synctest.Wait()
			if faults := faultsOf(r.deeds(), perConn); len(faults) > 0 {
				t.Errorf("seed %d: %s", seed, strings.Join(faults, "; "))
			}
			st := r.server.Stats()
			if st.Again == 0 || st.Waiting+st.Queued+st.Out+st.Sticky != 0 || st.Acknowledged != st.Taken {
				t.Errorf("seed %d: stats %+v", seed, st)
			}
			last.Close()
		})
	}
}
