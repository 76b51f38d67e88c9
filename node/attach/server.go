package attach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/node"
)

// A Server lets workers attach to a node. Its methods are safe for concurrent use.
type Server struct {
	cfg    Config // immutable
	logger *slog.Logger
	hub    *hub

	actions, refused, strangers, posts, postsFailed atomic.Uint64

	mu       sync.Mutex
	sessions map[uint64]*session // guarded by mu: those that were welcomed, by their number
	over     bool                // guarded by mu: none is welcomed any more
}

// New returns a Server. It opens nothing and starts no goroutine. The error reports
// every bad setting.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	cfg.AckTimeout = cmp.Or(cfg.AckTimeout, DefaultAckTimeout)
	s := &Server{cfg: cfg, logger: cfg.Logger, hub: newHub(cfg.Node.DoneEvents), sessions: make(map[uint64]*session)}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	return s, nil
}

// Run takes the events of the node and serves workers that connect to the listeners,
// until the node is closed and every event was acknowledged: then it returns nil. When
// ctx is done it ends the sessions and returns the context's cause; events that are
// not acknowledged by then are given up. It returns an error too when somebody closes
// a listener. When it returns, the listeners are closed and no goroutine is left. It
// is called once.
//
// While no worker takes them, events wait, and with them the clients.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	serving, stop := context.WithCancel(ctx)
	defer stop()

	var running sync.WaitGroup
	opening := make(chan struct{}, maxOpening)
	for _, ln := range listeners {
		defer context.AfterFunc(serving, func() { ln.Close() })()
		running.Go(func() {
			if err := s.accept(serving, ln, opening, &running); err != nil {
				cancel(err)
			}
		})
	}
	if s.cfg.Webhook != nil {
		h := newHook(s, *s.cfg.Webhook)
		running.Go(func() { h.run(serving) })
	}
	err := s.cfg.Node.TakeEvents(ctx, s.hub.put)
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	stop()
	running.Wait()
	s.hub.clear()
	return err
}

// acceptRest is the time after a failure to accept, of which there may be many.
const acceptRest = time.Second

// accept lets streams in until ctx is done, as many at a time as may be without a
// hello: one more is closed.
func (s *Server) accept(ctx context.Context, ln net.Listener, opening chan struct{}, running *sync.WaitGroup) error {
	for {
		nc, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("attach: accept: %w", err)
		}
		if err != nil { // such as no file descriptor left
			s.logger.Warn("no worker can attach for a moment", "err", err)
			select {
			case <-time.After(acceptRest):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case opening <- struct{}{}:
			running.Go(func() {
				s.serve(ctx, nc, sync.OnceFunc(func() { <-opening }))
			})
		default:
			s.refuse(errors.New("too many streams without a hello"))
			nc.Close()
		}
	}
}

// enter makes a session one of those that are served, unless there are too many, and
// welcomes it before the first event.
func (s *Server) enter(ss *session, welcome *record) error {
	s.mu.Lock()
	full, over := len(s.sessions) == maxSessions, s.over
	if !full && !over {
		s.sessions[ss.feed.number] = ss
	}
	s.mu.Unlock()
	switch {
	case over:
		return end(endClosed, "")
	case full:
		return end(endFull, "%d sessions", maxSessions)
	}
	s.logger.Info("a worker has attached", "worker", ss.feed.name, "session", ss.feed.number,
		"remote", ss.nc.RemoteAddr(), "events", ss.feed.window)
	ss.outbox.put(welcome, 0)
	if !ss.takes {
		return nil
	}
	if before := s.hub.add(ss.feed); before != nil {
		s.mu.Lock()
		replaced := s.sessions[before.number]
		s.mu.Unlock()
		if replaced != nil {
			replaced.stop(ending{endReplaced, "another worker has attached under this name"})
		}
	}
	return nil
}

// logEnd forgets a session and says why it has ended.
func (s *Server) logEnd(ctx context.Context, ss *session, why ending) {
	s.mu.Lock()
	_, welcomed := s.sessions[ss.feed.number]
	delete(s.sessions, ss.feed.number)
	s.mu.Unlock()
	if !welcomed {
		s.refuse(&why)
		return
	}
	level := slog.LevelWarn
	if why.why == endLeft || why.why == endClosed {
		level = slog.LevelInfo
	}
	s.logger.Log(ctx, level, "a worker is gone", "worker", ss.feed.name, "session", ss.feed.number,
		"why", why.why.String(), "text", why.text)
}

// refuse counts a stream that did not become a session.
func (s *Server) refuse(err error) {
	s.strangers.Add(1)
	s.logger.Debug("a stream to attach was refused", "err", err)
}

// Stats are counts since a Server was made, and sizes at this moment.
type Stats struct {
	Sessions int // welcomed and not ended
	Waiting  int // events that no session takes
	Out      int // events sent and not acknowledged
	Queued   int // events of sessions, not sent
	Sticky   int // connections that have had a session

	Taken        uint64            // events of the node
	Sent         uint64            // events, each as often as it was sent
	Again        uint64            // of those, sent before
	Acknowledged uint64            // events
	Actions      uint64            // outcomes of actions
	Failed       uint64            // of those, other than accepted
	Posts        uint64            // attempts of the webhook
	PostsFailed  uint64            // of those, without success
	Strangers    uint64            // streams that did not become a session
	Ended        map[string]uint64 // sessions, by each why there is; those that were not welcomed too
}

// Stats returns the counts of the server.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	sessions := len(s.sessions)
	s.mu.Unlock()
	st := s.hub.stats()
	st.Posts, st.PostsFailed = s.posts.Load(), s.postsFailed.Load()
	st.Sessions, st.Actions, st.Failed, st.Strangers = sessions, s.actions.Load(), s.refused.Load(), s.strangers.Load()
	return st
}

var _ Node = (*node.Node)(nil)
