package mesh

import (
	"context"
	"errors"
	"slices"
	"time"

	"flamingo/idspace"
)

// SendData queues msg, of that kind, for connection id of the peer. It waits for nothing but room
// in the window, at most SendTimeout; then ErrBackpressure. A peer that has been
// out of reach for UnreachableAfter is ErrUnreachable at once, and a connection that
// is full, as the peer has said, ErrBackpressure. nil means that msg, which is copied, is on its way: if it is not delivered, Undelivered is told.
// For each id, what one goroutine sends arrives in its order, whichever of the
// methods here it uses.
func (p *Peer) SendData(id idspace.ID, kind Kind, msg []byte) error {
	l, err := p.prepare(len(msg))
	if err != nil {
		return err
	}
	return l.laneOf(id).send(context.Background(), p.mesh.cfg.SendTimeout, &message{kind: kindData, as: kind, id: id, payload: msg}, nil)
}

// Send is SendData that waits until the owner has written msg to the socket.
// When ctx is done first, it returns ErrExpired if msg was not handed to the
// network, else ErrUncertain. The owner is told how much time is left until the
// deadline of ctx, and does not write msg later.
func (p *Peer) Send(ctx context.Context, id idspace.ID, kind Kind, msg []byte) error {
	return p.SendTo(ctx, id, kind, StageWritten, msg)
}

// SendTo is Send that waits until msg has come as far as stage.
func (p *Peer) SendTo(ctx context.Context, id idspace.ID, kind Kind, stage Stage, msg []byte) error {
	f, t := message{kind: kindWait, as: kind, stage: stage, id: id, payload: msg}, &ticket{}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left <= 0 {
			return ErrExpired
		}
		p.mesh.timeWait(&f, t, left)
	}
	return p.sendWaiting(ctx, f, t)
}

// timeWait gives a wait its deadline.
func (m *Mesh) timeWait(f *message, t *ticket, left time.Duration) {
	t.deadline = m.deadlineIn(left)
	f.time = timeLeft(t.deadline, m.clock())
}

// SendBefore is SendData of a message that is of no use after deadline: if it was
// not written to the socket by then it never is, and Undelivered is told that it
// has expired, within PingEvery. What was handed to the network when its time is
// over has the outcome that the owner tells. Of these and of the sends and closes
// that wait there are MaxWaits at most on a lane, at either end; one more is
// ErrBackpressure.
func (p *Peer) SendBefore(deadline time.Time, id idspace.ID, kind Kind, msg []byte) error {
	left := time.Until(deadline)
	if left <= 0 {
		return ErrExpired
	}
	l, err := p.prepare(len(msg))
	if err != nil {
		return err
	}
	f, t := message{kind: kindWait, as: kind, id: id, payload: msg}, &ticket{id: id}
	p.mesh.timeWait(&f, t, left)
	err = l.laneOf(id).send(context.Background(), min(left, p.mesh.cfg.SendTimeout), &f, t)
	if errors.Is(err, ErrBackpressure) && left < p.mesh.cfg.SendTimeout && time.Until(deadline) <= 0 {
		return ErrExpired
	}
	return err
}

// sendWaiting sends f and waits for its outcome.
func (p *Peer) sendWaiting(ctx context.Context, f message, t *ticket) error {
	if ctx.Err() != nil {
		return ErrExpired
	}
	l, err := p.prepare(f.size())
	if err != nil {
		return err
	}
	t.done = make(chan verdict, 1)
	n := l.laneOf(f.id)
	if err := n.send(ctx, p.mesh.cfg.SendTimeout, &f, t); err != nil {
		return err
	}
	return n.await(ctx, t)
}

// SendMany queues msg for each of ids, all of the peer, in frames of up to 1024
// ids. results[k] is for ids[k] what SendData would return; the two slices
// have one length. SendTimeout is for all of them together.
func (p *Peer) SendMany(ids []idspace.ID, kind Kind, msg []byte, results []error) {
	l, err := p.prepare(len(msg))
	if err != nil {
		for i := range ids {
			results[i] = err
		}
		return
	}
	free, places := l.spare(ids, results)
	if places == nil {
		l.sendMany(ids, kind, msg, results)
		return
	}
	some := make([]error, len(free))
	l.sendMany(free, kind, msg, some)
	for i, err := range some {
		results[places[i]] = err
	}
}

func (l *link) sendMany(ids []idspace.ID, kind Kind, msg []byte, results []error) {
	m := l.mesh
	until := m.clock() + int64(m.cfg.SendTimeout)
	for k, n := range l.lanes {
		mine, places := ids, []int(nil)
		if len(l.lanes) > 1 {
			mine, places = sieve(ids, k, len(l.lanes))
		}
		for at := 0; at < len(mine); at += maxIDs {
			some := slices.Clone(mine[at:min(at+maxIDs, len(mine))])
			f := message{kind: kindMany, as: kind, ids: some, payload: msg}
			err := n.send(context.Background(), time.Duration(until-m.clock()), &f, &ticket{ids: some})
			for i := at; i < at+len(some); i++ {
				if places == nil {
					results[i] = err
				} else {
					results[places[i]] = err
				}
			}
		}
	}
}

// sieve returns the ids of one lane, and where they stand.
func sieve(ids []idspace.ID, lane, lanes int) (mine []idspace.ID, places []int) {
	for i, id := range ids {
		if laneIndex(id, lanes) == lane {
			mine = append(mine, id)
			places = append(places, i)
		}
	}
	return mine, places
}

// SendClose queues the end of connection id of the peer, behind what was sent to
// it before. The owner is told code, 0 for none, and reason, of which at most 123
// bytes are carried. It waits as SendData does. If something else ended the
// connection first, Undelivered is told.
func (p *Peer) SendClose(id idspace.ID, code uint16, reason string) error {
	l, err := p.prepare(0)
	if err != nil {
		return err
	}
	f := closing(kindClose, id, code, reason)
	return l.laneOf(id).send(context.Background(), p.mesh.cfg.SendTimeout, &f, nil)
}

// Close is SendClose that waits for the owner's answer. When ctx is done first,
// it returns ErrExpired if the close stays undone, else ErrUncertain.
func (p *Peer) Close(ctx context.Context, id idspace.ID, code uint16, reason string) error {
	return p.sendWaiting(ctx, closing(kindCloseWait, id, code, reason), &ticket{})
}

func closing(kind frameKind, id idspace.ID, code uint16, reason string) message {
	return message{kind: kind, id: id, code: code, payload: []byte(reason[:min(len(reason), maxReason)])}
}

// Describe returns what the owner at the peer says about connection id.
func (p *Peer) Describe(ctx context.Context, id idspace.ID) ([]byte, error) {
	l, err := p.link()
	if err != nil {
		return nil, err
	}
	return l.control.describe(ctx, id)
}

func (p *Peer) prepare(size int) (*link, error) {
	if size > p.mesh.cfg.MaxMessage {
		return nil, ErrTooLarge
	}
	return p.link()
}

// Request asks the [Requests] of peer. body is at most 64 KiB and not kept. The
// error is ErrUncertain if the peer may have handled the request; a request
// that was never sent is retried over new streams for ReconnectTimeout. A peer
// that has been out of reach for UnreachableAfter is ErrUnreachable at once.
func (m *Mesh) Request(ctx context.Context, peer idspace.BootID, kind RequestKind, body []byte) ([]byte, error) {
	l, err := m.linkTo(peer)
	if err != nil {
		return nil, err
	}
	return l.control.request(ctx, kind, body)
}

// Connect opens the control stream to peer if there is none, so that the two
// learn each other's numbers. It does not wait.
func (m *Mesh) Connect(peer idspace.BootID) error {
	l, err := m.linkTo(peer)
	if err == nil {
		l.control.ensure()
	}
	return err
}

// Flush waits until every send so far has its outcome, or ctx is done. It waits
// for a moment in which a lane owes none, so senders that go on may prolong it.
func (m *Mesh) Flush(ctx context.Context) error {
	for _, l := range *m.links.Load() {
		for _, n := range l.lanes {
			if err := n.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
