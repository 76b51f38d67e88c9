package attach

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"flamingo/node"
)

// A session is the time of a worker on one stream. Its reader does what the worker
// says, in its order; its writer writes what others have for it.
type session struct {
	server *Server
	nc     *lifeline
	stream stream
	form   format
	feed   *feed
	scopes scopes
	takes  bool        // events
	broken atomic.Bool // it cannot be written to

	ctx     context.Context // done when the session ends
	cancel  context.CancelFunc
	asks    chan struct{}  // a token for each ask under way; never closed
	notices chan struct{}  // a token for each notice of a watch that is not written; never closed
	running sync.WaitGroup // of asks and watches

	outbox  outbox
	watches watches
}

// An ending is the end of a session: an error of its reader.
type ending struct {
	why  endReason
	text string
}

func (e *ending) Error() string { return e.why.String() + ": " + e.text }

func end(why endReason, format string, args ...any) error {
	return &ending{why, fmt.Sprintf(format, args...)}
}

// endingOf says why a session ends whose reader met err.
func endingOf(err error) ending {
	var e *ending
	switch {
	case errors.As(err, &e):
		return *e
	case errors.Is(err, errMalformed):
		return ending{endProtocol, err.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ending{endSilent, ""}
	default:
		return ending{endLost, ""}
	}
}

// serve is the life of a session on nc, which it closes. opened is called when its
// hello was accepted, or when it ends before.
func (s *Server) serve(ctx context.Context, nc net.Conn, opened func()) {
	defer nc.Close()
	ss := &session{
		server: s, nc: &lifeline{Conn: nc, quiet: helloTimeout}, feed: &feed{wake: make(chan struct{}, 1)},
		asks: make(chan struct{}, maxAsks), notices: make(chan struct{}, maxNotices),
	}
	ss.ctx, ss.cancel = context.WithCancel(ctx)
	defer ss.cancel()
	ss.outbox.init(ss.feed.signal)
	err := ss.open()
	opened()
	if ss.stream == nil {
		s.refuse(err)
		return
	}
	defer context.AfterFunc(ctx, func() { ss.stop(ending{endClosed, ""}) })()
	var writing sync.WaitGroup
	writing.Go(ss.write)
	if err == nil {
		err = ss.read() //nolint:contextcheck // ss.ctx is made of ctx
	}
	e := endingOf(err)
	if e.why == endSilent && ss.broken.Load() {
		e = ending{endLost, ""}
	}
	why := ss.stop(e)
	s.hub.remove(ss.feed, why.why)
	ss.cancel()
	ss.running.Wait()
	writing.Wait()
	s.logEnd(ctx, ss, why)
	ss.linger()
}

// open finds the form, and takes the hello. After an error without a stream nothing
// can be said to the worker.
func (ss *session) open() error {
	late := time.AfterFunc(helloTimeout, func() { now := time.Now(); ss.nc.endBy(now, now) })
	defer late.Stop()
	ss.nc.allowWrite(helloTimeout)
	st, err := openStream(ss.nc, len(ss.server.cfg.Tokens) > 0)
	if err != nil {
		return err
	}
	ss.stream, ss.form = st, st.format()
	ss.outbox.form, ss.outbox.stream = ss.form, st
	body, err := st.read(maxHello)
	if err != nil {
		return err
	}
	var r record
	if err := ss.form.decode(body, &r); err != nil {
		return err
	}
	if frameKind(r.kind) != kindHello {
		return malformed("%s before the hello", frameLayouts[r.kind].name)
	}
	if !late.Stop() {
		return end(endSilent, "no hello within %v", helloTimeout)
	}
	if err := ss.hello(&r); err != nil {
		return err
	}
	ss.nc.allow(silence)
	return nil
}

// hello judges a hello, and welcomes the worker.
func (ss *session) hello(r *record) error {
	least, greatest, token, name := max(r.u[0], 1), max(r.u[1], 1), r.s[0], r.s[1]
	if least > maxVersion || greatest < minVersion {
		return end(endVersion, "versions %d to %d, and here %d to %d", least, greatest, minVersion, maxVersion)
	}
	if ss.scopes = ss.server.judge(token); ss.scopes == 0 {
		return end(endUnauthorized, "no such token")
	}
	if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return malformed("name %.64q: allowed are up to %d bytes of UTF-8 without control characters", name, maxName)
	}
	window, bytes, err := windowOf(r.u[2], r.u[3])
	if err != nil {
		return err
	}
	if ss.takes = window > 0; ss.takes && ss.scopes&scopeEvents == 0 {
		return end(endForbidden, "the token does not have the scope events")
	}
	f, s := ss.feed, ss.server
	f.name, f.window, f.bytes, f.number = name, window, bytes, s.hub.number()
	return s.enter(ss, &record{
		kind: uint8(kindWelcome), s: [2]string{s.cfg.NodeName},
		u: [5]uint64{min(greatest, maxVersion), f.number, uint64(s.cfg.Node.Number()), maxFrame, maxRequests},
	})
}

// windowOf checks the window that a worker says.
func windowOf(events, bytes uint64) (uint64, int64, error) {
	if bytes == 0 {
		bytes = defaultWindowBytes
	}
	if events > maxWindow || bytes > maxWindowBytes {
		return 0, 0, malformed("a window of %d events and %d bytes: allowed are %d and %d", events, bytes, maxWindow, maxWindowBytes)
	}
	return events, int64(bytes), nil
}

// judge returns what the bearer of token may do; nothing for a stranger.
func (s *Server) judge(token string) scopes {
	if len(s.cfg.Tokens) == 0 {
		return allScopes
	}
	hash, allowed := sha256.Sum256([]byte(token)), scopes(0)
	for i := range s.cfg.Tokens {
		if t := &s.cfg.Tokens[i]; subtle.ConstantTimeCompare(hash[:], t.hash[:]) == 1 {
			allowed = t.scopes
		}
	}
	return allowed
}

// read does what the worker says until the session ends, and returns why.
func (ss *session) read() error {
	var r record
	for {
		body, err := ss.stream.read(maxFrame)
		if ss.outbox.ending() {
			return nil
		}
		if err == nil {
			err = ss.form.decode(body, &r)
		}
		if err == nil {
			err = ss.handle(&r)
		}
		if err != nil {
			return err
		}
	}
}

func (ss *session) handle(r *record) error {
	switch frameKind(r.kind) { //nolint:exhaustive // the others are the node's
	case kindDone:
		return ss.handleDone(r)
	case kindDo:
		return ss.handleDo(r)
	case kindAsk:
		return ss.handleAsk(r)
	case kindWindow:
		return ss.handleWindow(r)
	case kindLeave:
		ss.server.hub.leave(ss.feed)
		return nil
	case kindPing:
		ss.outbox.pong()
		return nil
	case kindPong:
		return nil
	default:
		return malformed("%s is not for a worker to send, or not now", frameLayouts[r.kind].name)
	}
}

func (ss *session) handleWindow(r *record) error {
	window, bytes, err := windowOf(r.u[0], r.u[1])
	if err == nil && !ss.takes {
		err = malformed("a window of a worker that takes no events")
	}
	if err == nil {
		ss.server.hub.setWindow(ss.feed, window, bytes)
	}
	return err
}

// handleDone does what events have caused and acknowledges them: the whole frame was
// read and is well-formed, and until this returns nobody else gets the events.
func (ss *session) handleDone(r *record) error {
	request, first, last := r.u[0], r.u[1], r.u[2]
	hub := ss.server.hub
	switch {
	case !ss.takes || !hub.areOut(ss.feed, first, last):
		return malformed("done with events %d to %d, of which one is not out", first, last)
	case len(r.actions) > 0 && ss.scopes&scopeSend == 0:
		return end(endForbidden, "the token does not have the scope send")
	}
	if err := ss.outbox.begin(request); err != nil {
		return err
	}
	results := ss.do(r.actions)
	hub.acknowledge(ss.feed, first, last, time.Now())
	ss.result(request, results)
	return nil
}

func (ss *session) handleDo(r *record) error {
	if err := ss.outbox.begin(r.u[0]); err != nil {
		return err
	}
	ss.result(r.u[0], ss.do(r.actions))
	return nil
}

func (ss *session) result(request uint64, results []uint64) {
	if request != 0 {
		ss.outbox.put(&record{kind: uint8(kindResult), u: [5]uint64{request}, list: results}, 1)
	}
}

// stop ends the session, once; it returns why it has ended. Reads end at once, what is
// to be written has a while.
func (ss *session) stop(e ending) ending {
	e, first := ss.outbox.end(e)
	if first {
		now := time.Now()
		ss.nc.endBy(now, now.Add(farewell))
	}
	return e
}

// linger lets the worker read what was written last: a close with input that was not
// read would take it away.
func (ss *session) linger() {
	half, ok := ss.nc.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || ss.nc.SetReadDeadline(time.Now().Add(farewell)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, ss.nc.Conn, maxFrame) // until it ends, however
}

// eventKinds are the frames of events.
var eventKinds = [...]frameKind{node.EventOpen: kindOpen, node.EventMessage: kindData, node.EventClose: kindClosed}
