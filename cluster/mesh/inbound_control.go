package mesh

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// serveControl answers what comes on a control stream until it ends.
func (s *inStream) serveControl(ctx context.Context, cancel context.CancelFunc) {
	s.mesh.announceTo(s.box, maxNumbers)
	var handlers sync.WaitGroup
	s.endFor(s.readControl(ctx, &handlers))
	cancel()
	handlers.Wait()
}

func (s *inStream) readControl(ctx context.Context, handlers *sync.WaitGroup) error {
	r, d, f := frameReader{stream: s.stream}, newDecoder(), frame{}
	defer r.count()
	var underway atomic.Int64
	w := &Watcher{peer: s.peer, box: s.box}
	if s.mesh.cfg.Watched != nil {
		defer s.mesh.cfg.Watched.Forget(w)
	}
	restricted := s.hello.cluster.IsZero() || s.mesh.cfg.Identity.Cluster().IsZero()
	for {
		body, err := r.next()
		if err == nil {
			err = d.frame(body, &f)
		}
		if err != nil {
			return err
		}
		switch f.kind { //nolint:exhaustive // every other kind has no place on this end of a control stream
		case kindPing:
			stamp := f.u[0]
			clock := wallClock(s.mesh.cfg.Now())
			s.box.put(func(e *encoder) { e.uints(kindPong, stamp, clock) })
		case kindNumbers:
			err = s.mesh.hearNumbers(s.peer, &f)
		case kindWatch:
			err = s.watch(w, &f)
		case kindRequest:
			q := inRequest{s, f.u[0], RequestKind(min(f.u[1], 255)), slices.Clone(f.payload)}
			q.start(ctx, restricted, &underway, handlers)
		default:
			err = reasonError{ReasonUnexpected}
		}
		if err != nil {
			return err
		}
	}
}

// An inRequest is a request of a peer.
type inRequest struct {
	*inStream
	number uint64
	kind   RequestKind
	body   []byte
}

// start has the request answered, at once or by a goroutine of handlers.
func (q inRequest) start(ctx context.Context, restricted bool, underway *atomic.Int64, handlers *sync.WaitGroup) {
	switch {
	case restricted && !q.kind.blank():
		q.reply(replyBlank, nil)
	case len(q.body) > maxRequest:
		q.reply(replyTooLarge, nil)
	case q.kind == RequestDescribe:
		q.describe()
	case q.mesh.cfg.Requests == nil:
		q.reply(replyUnknown, nil)
	case underway.Add(1) > int64(q.mesh.cfg.MaxRequests):
		underway.Add(-1)
		q.reply(replyBusy, nil)
	default:
		handlers.Go(func() {
			defer underway.Add(-1)
			q.handle(ctx)
		})
	}
}

func (q inRequest) handle(ctx context.Context) {
	body, err := q.mesh.cfg.Requests.Handle(ctx, q.peer, q.kind, q.body)
	switch {
	case errors.Is(err, ErrUnknownRequest):
		q.reply(replyUnknown, nil)
	case err != nil:
		q.mesh.cfg.Logger.Debug("request failed", "peer", q.peer, "kind", q.kind.String(), "err", err)
		q.reply(replyFailed, nil)
	case len(body) > maxRequest:
		q.reply(replyTooLarge, nil)
	default:
		q.reply(replyOK, body)
	}
}

func (q inRequest) reply(code replyCode, body []byte) {
	q.box.put(func(e *encoder) { e.call(kindReply, q.number, uint64(code), body) })
}

// describe answers with a byte of outcome, then the owner's words, or when it is
// gone the end.
func (q inRequest) describe() {
	d := newDecoder()
	d.b = q.body
	v, err := d.uint()
	id := idspace.ID(v)
	if err != nil || !id.Valid() || d.at != len(d.b) {
		q.reply(replyFailed, nil)
		return
	}
	if !q.mesh.cfg.Identity.Owns(id.Node()) {
		q.reply(replyOK, []byte{byte(OutcomeNotMine)})
		return
	}
	body, err := q.mesh.cfg.Owner.Describe(id)
	switch {
	case err != nil:
		q.reply(replyOK, q.mesh.answerTo(err).describe())
	case len(body) >= maxRequest:
		q.reply(replyTooLarge, nil)
	default:
		q.reply(replyOK, append([]byte{byte(OutcomeAccepted)}, body...))
	}
}
