package mesh_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// A flap is a stream that breaks after some bytes in one of its directions.
// What is written then counts as written, whatever of it arrives; what is read
// then is lost on the way.
type flap struct {
	net.Conn
	breaks func() // called at the first, with the flap locked

	mu        sync.Mutex
	out, back int // bytes left
}

// spend takes n bytes of *left, and returns how many of them there were.
func (f *flap) spend(left *int, n int) (had int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	had = min(n, max(*left, 0))
	if *left >= 0 && n > *left {
		f.breaks()
	}
	*left -= n
	return had
}

func (f *flap) Write(p []byte) (int, error) {
	had := f.spend(&f.out, len(p))
	n, err := f.Conn.Write(p[:had])
	if err == nil && had < len(p) {
		f.Close()
		return len(p), nil
	}
	return n, err
}

func (f *flap) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.spend(&f.back, n) < n {
		f.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// An ordeal is a load over streams that break again and again.
type ordeal struct {
	seed  uint64
	each  int          // sends of each of 6 goroutines
	cuts  atomic.Int64 // how many streams broke
	alter func(*mesh.Mesh)
}

const refusedSerial = 5

// run returns what is wrong. Everything must arrive once and in order, and
// nothing be uncertain: there is always another stream.
func (o *ordeal) run(t *testing.T) (faults []string) {
	r := newRig(t, 2)
	rnd := rand.New(rand.NewPCG(o.seed, 0))
	var mu sync.Mutex
	r.wrap = func(_, _ *node, c net.Conn) net.Conn {
		mu.Lock()
		defer mu.Unlock()
		few := func() int { return rnd.IntN(1 << (6 + rnd.IntN(14))) }
		return &flap{Conn: c, out: few(), back: few(), breaks: func() { o.cuts.Add(1) }}
	}
	group := &club{node: r.node(2), members: map[string][]idspace.ID{}}
	for s := 1; s < refusedSerial; s++ {
		group.members["all"] = append(group.members["all"], idOf(2, s))
	}
	r.config = func(c *mesh.Config) {
		c.ReconnectTimeout, c.SendTimeout, c.UnreachableAfter = time.Hour, time.Hour, time.Hour
		c.SessionTimeout = time.Hour
		c.Window = mesh.DefaultMaxMessage + 1<<18
		c.Lanes = 1 + int(o.seed%2)
		if c.Identity.Boot() == bootOf(2) {
			c.Groups = group
		}
	}
	a, b := r.node(1), group.node
	b.deliver = func(id idspace.ID, _ []byte) error {
		if id.Serial() == refusedSerial {
			return mesh.ErrGone
		}
		return nil
	}
	b.written = func(id idspace.ID, msg []byte, _ time.Duration, done func(error)) {
		err := b.Deliver(id, mesh.KindDefault, msg)
		time.AfterFunc(time.Duration(len(msg)%7)*10*time.Millisecond, func() { done(err) })
	}
	r.run()
	o.alter(b.Mesh)
	sent := o.send(a, b, group.members["all"])
	flush(t, a)
	synctest.Wait()
	return o.judge(a, b, sent)
}

// A sending is what the senders did to one id.
type sending struct {
	msgs    []string // in the order of each sender
	results []error  // of those that wait
	refused int
}

func (o *ordeal) send(a, b *node, members []idspace.ID) map[idspace.ID]*sending {
	sent := make(map[idspace.ID]*sending)
	for s := 1; s <= refusedSerial; s++ {
		sent[idOf(2, s)] = &sending{}
	}
	var mu sync.Mutex
	note := func(m string, wait bool, err error, ids ...idspace.ID) {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			to := sent[id]
			switch {
			case id.Serial() != refusedSerial:
				to.msgs = append(to.msgs, m)
				to.results = append(to.results, err)
			case !wait:
				to.refused++
			}
		}
	}
	way := a.To(b.boot)
	var wg sync.WaitGroup
	for s := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(o.seed, uint64(s)+1))
			for i := 1; i <= o.each; i++ {
				id := idOf(2, 1+rnd.IntN(refusedSerial))
				m := fmt.Sprintf("sender-%d %d ", s, i)
				switch k := rnd.IntN(100); {
				case k < 2:
					m += strings.Repeat("x", rnd.IntN(3*mesh.PartSize))
					note(m, false, way.SendData(id, mesh.KindDefault, []byte(m)), id)
				case k < 10:
					m += strings.Repeat("y", rnd.IntN(2000))
					note(m, true, way.Send(context.Background(), id, mesh.KindDefault, []byte(m)), id)
				case k < 20:
					ids := []idspace.ID{id, idOf(2, 1+int(id.Serial())%refusedSerial)}
					results := make([]error, 2)
					way.SendMany(ids, mesh.KindDefault, []byte(m), results)
					note(m, false, results[0], ids[0])
					note(m, false, results[1], ids[1])
				case k < 23:
					m += strings.Repeat("z", rnd.IntN(10)/9*2*mesh.PartSize)
					note(m, false, way.Publish("all", nil, mesh.KindDefault, []byte(m)), members...)
				default:
					note(m, false, way.SendData(id, mesh.KindDefault, []byte(m)), id)
				}
			}
		})
	}
	wg.Wait()
	return sent
}

func (o *ordeal) judge(a, b *node, sent map[idspace.ID]*sending) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for id, s := range sent {
		lost := 0
		for outcome, n := range a.losses()[id] {
			if outcome != mesh.OutcomeGone {
				bad("%v: %d sends are %v", id, n, outcome)
			}
			lost += n
		}
		if lost != s.refused {
			bad("%v: %d refusals were told, want %d", id, lost, s.refused)
		}
		for i, err := range s.results {
			if err != nil {
				bad("%v: %.20q: %v", id, s.msgs[i], err)
			}
		}
		want, got := bySender(s.msgs), bySender(b.messages(id))
		for sender := range 6 {
			if w, g := want[sender], got[sender]; strings.Join(w, "|") != strings.Join(g, "|") {
				bad("%v: of sender %d came %.20q, want %.20q", id, sender, g, w)
			}
		}
	}
	return faults
}

func bySender(msgs []string) (by [6][]string) {
	for _, m := range msgs {
		s := m[len("sender-")] - '0'
		by[s] = append(by[s], m)
	}
	return by
}

// TestFlapsLoseAndDoubleNothing cuts streams at any byte of either direction,
// thousands of times.
func TestFlapsLoseAndDoubleNothing(t *testing.T) {
	cuts := int64(0)
	for seed := uint64(1); seed <= 20; seed++ {
		synctest.Test(t, func(t *testing.T) {
			o := ordeal{seed: seed, each: 400, alter: func(*mesh.Mesh) {}}
			if faults := o.run(t); len(faults) > 0 {
				t.Errorf("seed %d, %d cuts: %d faults, first: %s", seed, o.cuts.Load(), len(faults), faults[0])
			}
			cuts += o.cuts.Load()
		})
	}
	t.Logf("%d cuts", cuts)
	if cuts < 2000 {
		t.Errorf("only %d streams broke", cuts)
	}
}

// TestFlapsShowWhatIsForgotten is the negative control of the test above.
func TestFlapsShowWhatIsForgotten(t *testing.T) {
	for name, alter := range map[string]func(*mesh.Mesh){
		"frames": (*mesh.Mesh).ForgetFrames, "sessions": (*mesh.Mesh).ForgetSessions,
	} {
		synctest.Test(t, func(t *testing.T) {
			o := ordeal{seed: 1, each: 400, alter: alter}
			faults := o.run(t)
			if len(faults) == 0 {
				t.Errorf("%s are forgotten, and %d cuts show nothing", name, o.cuts.Load())
			}
		})
	}
}
