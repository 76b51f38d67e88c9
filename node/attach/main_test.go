package attach_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
	"flamingo/node/attach"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeNode is a node whose connections are the test's, and that notes what was
// done.
type fakeNode struct {
	attach.Node // nil: what a test does not expect panics

	events chan []node.Event
	over   chan struct{}

	mu   sync.Mutex
	did  []string             // guarded by mu: what workers had it do, in order
	done map[string]int       // guarded by mu: how often each event was done with
	held int                  // guarded by mu: events handed out and not done with
	fail map[node.ID]error    // guarded by mu: outcomes of sends; nil for accepted
	wait chan struct{}        // sends with an answer wait for it; nil: do not wait
	seen chan node.WatchEvent // of every watch
}

func newFake() *fakeNode {
	return &fakeNode{
		events: make(chan []node.Event), over: make(chan struct{}), done: make(map[string]int),
		fail: make(map[node.ID]error), seen: make(chan node.WatchEvent),
	}
}

func (f *fakeNode) TakeEvents(ctx context.Context, take func([]node.Event)) error {
	for {
		select {
		case batch := <-f.events:
			f.mu.Lock()
			f.held += len(batch)
			f.mu.Unlock()
			take(batch)
		case <-f.over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func nameOf(e *node.Event) string { return fmt.Sprintf("%d %s %s", e.Type, e.ID, e.Data) }

func (f *fakeNode) DoneEvents(events []node.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range events {
		f.done[nameOf(&events[i])]++
		f.held--
	}
}

func (f *fakeNode) Number() node.NodeNumber { return 0x01adc9000 }

func (f *fakeNode) note(id node.ID, format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprintf(format, args...))
	return f.fail[id]
}

func (f *fakeNode) SendDataAs(id node.ID, kind node.Kind, msg []byte) error {
	return f.note(id, "send %s %d %s", id, kind, msg)
}

func (f *fakeNode) SendManyAs(ids []node.ID, kind node.Kind, msg []byte) []error {
	results := make([]error, len(ids))
	for i, id := range ids {
		results[i] = f.note(id, "many %s %d %s", id, kind, msg)
	}
	return results
}

func (f *fakeNode) SendAs(ctx context.Context, id node.ID, kind node.Kind, msg []byte) error {
	if f.wait != nil {
		select {
		case <-f.wait:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", node.ErrExpired, context.Cause(ctx))
		}
	}
	return f.note(id, "wait %s %d %s", id, kind, msg)
}

func (f *fakeNode) SendCloseWith(id node.ID, code int, reason string) error {
	return f.note(id, "close %s %d %s", id, code, reason)
}

func (f *fakeNode) JoinGroup(id node.ID, group string) error {
	return f.note(id, "join %s %s", id, group)
}

func (f *fakeNode) LeaveGroup(id node.ID, group string) error {
	return f.note(id, "leave %s %s", id, group)
}

func (f *fakeNode) SetMeta(id node.ID, key, value string) error {
	return f.note(id, "meta %s %s=%s", id, key, value)
}

func (f *fakeNode) PublishAs(group string, kind node.Kind, msg []byte, except ...node.ID) (node.Published, error) {
	err := f.note(0, "publish %s %d %s %v", group, kind, msg, except)
	if group == "far" {
		return node.Published{Failed: []*node.NodeError{{Node: "birch", Err: node.ErrUnreachable}}}, err
	}
	return node.Published{}, err
}

func (f *fakeNode) CloseGroupWith(group string, code int, reason string) (node.Published, error) {
	return node.Published{}, f.note(0, "close-group %s %d %s", group, code, reason)
}

func (f *fakeNode) Describe(_ context.Context, id node.ID) (node.ConnInfo, error) {
	return node.ConnInfo{ID: id, Listener: "tcp://:4100", Meta: map[string]string{"k": "v"}}, f.note(id, "describe %s", id)
}

func (f *fakeNode) Groups(id node.ID) ([]string, error) {
	return []string{"a", "b"}, f.note(id, "groups %s", id)
}

func (f *fakeNode) GroupCount(_ context.Context, group string) (int, []*node.NodeError, error) {
	return 7, []*node.NodeError{{Node: "cedar", Err: node.ErrUnreachable}}, f.note(0, "count %s", group)
}

func (f *fakeNode) GroupMembers(_ context.Context, group string, after node.ID, limit int) (node.MembersPage, error) {
	return node.MembersPage{Members: []node.ID{conn(1), conn(2)}, Next: conn(2)}, f.note(0, "members %s %v %d", group, after, limit)
}

func (f *fakeNode) Watch(ctx context.Context, id node.ID) (<-chan node.WatchEvent, error) {
	ch := make(chan node.WatchEvent)
	go func() {
		defer close(ch)
		for {
			select {
			case e := <-f.seen:
				ch <- e
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch, f.note(id, "watch %s", id)
}

// tell hands out events, as one batch.
func (f *fakeNode) tell(events ...node.Event) { f.events <- events }

func (f *fakeNode) deeds() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.did...)
}

func conn(k int) node.ID { return node.ID(0x01adc90000000001 + uint64(k)) }

func opened(k int) node.Event { return node.Event{Type: node.EventOpen, ID: conn(k)} }

func said(k int, text string) node.Event {
	return node.Event{Type: node.EventMessage, ID: conn(k), Data: []byte(text)}
}

func over(k int) node.Event {
	return node.Event{Type: node.EventClose, ID: conn(k), Why: node.ReasonClient}
}

// A fakeListener hands over pipes.
type fakeListener struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func newListener() *fakeListener {
	return &fakeListener{conns: make(chan net.Conn), over: make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

func (l *fakeListener) Addr() net.Addr { return &net.UnixAddr{Name: "fake", Net: "unix"} }

// A rig is a server of a fake node on virtual time.
type rig struct {
	*fakeNode
	t      *testing.T
	server *attach.Server
	ln     *fakeListener
	stop   context.CancelFunc
	ended  chan error
}

// inRig runs f with a server, in a bubble.
func inRig(t *testing.T, adjust func(*attach.Config), f func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{fakeNode: newFake(), t: t, ln: newListener(), ended: make(chan error, 1)}
		cfg := attach.Config{Node: r.fakeNode, NodeName: "birch", Logger: slog.New(slog.DiscardHandler)}
		if adjust != nil {
			adjust(&cfg)
		}
		var err error
		if r.server, err = attach.New(cfg); err != nil {
			t.Fatal(err)
		}
		var ctx context.Context
		ctx, r.stop = context.WithCancel(context.Background())
		go func() { r.ended <- r.server.Run(ctx, r.ln) }()
		f(t, r)
		r.stop()
		if err := <-r.ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if r.mu.Lock(); r.held != 0 {
			t.Errorf("%d events are held at the end", r.held)
		}
		r.mu.Unlock()
	})
}

// A frame is one in JSON.
type frame map[string]any

// A worker is one that speaks JSON in lines, written for these tests alone.
type worker struct {
	net.Conn
	t      *testing.T
	frames chan frame // pings, which it answers, are not among them; closed at the end
}

// dial opens a stream and says nothing.
func (r *rig) dial() *worker {
	r.t.Helper()
	here, there := net.Pipe()
	r.t.Cleanup(func() { here.Close() })
	r.ln.conns <- there
	return &worker{Conn: here, t: r.t, frames: make(chan frame, 1<<16)}
}

// attach attaches a worker of that name and window, and takes the welcome.
func (r *rig) attach(name string, window int) *worker {
	r.t.Helper()
	w := r.dial()
	go w.listen(true)
	w.say(frame{"type": "hello", "name": name, "events": window})
	w.expect(frame{"type": "welcome", "version": 1, "node": "birch", "node_number": "01adc9000"})
	return w
}

// listen reads until the end.
func (w *worker) listen(answers bool) {
	defer close(w.frames)
	for in := bufio.NewReader(w.Conn); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var f frame
		if err := json.Unmarshal(line, &f); err != nil {
			w.t.Errorf("not JSON: %q", line)
			return
		}
		if f["type"] != "ping" {
			w.frames <- f
		} else if answers {
			go w.say(frame{"type": "pong"})
		}
	}
}

// say sends frames; a stream that is over takes none.
func (w *worker) say(frames ...frame) {
	for _, f := range frames {
		line, err := json.Marshal(f)
		if err != nil {
			panic(err) // a frame of a test always has a form
		}
		_, _ = w.Write(append(line, '\n'))
	}
}

// next returns the next frame, nil at the end.
func (w *worker) next() frame {
	w.t.Helper()
	synctest.Wait()
	select {
	case f := <-w.frames:
		return f
	case <-time.After(10 * time.Minute): // of the bubble
		w.t.Fatal("no frame comes")
		return nil
	}
}

// expect takes a frame that has at least these members.
func (w *worker) expect(want frame) frame {
	w.t.Helper()
	got := w.next()
	for name, value := range want {
		if fmt.Sprint(got[name]) != fmt.Sprint(value) {
			w.t.Fatalf("got %v, want %v", got, want)
		}
	}
	return got
}

// expectNone checks that nothing comes, now.
func (w *worker) expectNone() {
	w.t.Helper()
	synctest.Wait()
	select {
	case f := <-w.frames:
		w.t.Fatalf("got %v, want nothing", f)
	default:
	}
}

// expectEnd takes the end of the session.
func (w *worker) expectEnd(reason string) {
	w.t.Helper()
	w.expect(frame{"type": "end", "reason": reason})
	if f := w.next(); f != nil {
		w.t.Fatalf("got %v behind the end", f)
	}
}

func done(first, last int, actions ...frame) frame {
	return frame{"type": "done", "first": first, "last": last, "actions": actions}
}

func send(k int, text string) frame { return frame{"do": "send", "id": conn(k).String(), "text": text} }
