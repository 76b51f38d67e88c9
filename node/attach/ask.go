package attach

import (
	"context"
	"slices"
	"sync"
	"time"

	"flamingo/node"
)

// Bounds of what is asked for.
const (
	defaultWait = 5 * time.Second // of a send; and the time for the other asks
	maxWait     = time.Minute
	maxMembers  = 1000
)

// An ask is what a worker has asked for, with memory of its own.
type ask struct {
	request uint64
	what    askKind
	id      node.ID
	name    string
	number  uint64
	kind    uint64
	payload []byte
}

func (ss *session) handleAsk(r *record) error {
	a := ask{r.u[0], askKind(min(r.u[1], 255)), node.ID(r.u[2]), r.s[0], r.u[3], r.u[4], slices.Clone(r.payload)}
	if a.request == 0 {
		return malformed("an ask with request 0")
	}
	if err := ss.outbox.begin(a.request); err != nil {
		return err
	}
	switch a.what {
	case askWatch, askUnwatch: // in the order in which the worker says them
		ss.answer(a.request, ss.watchOrNot(&a), nil)
		return nil
	case askSend, askDescribe, askGroups, askMembers, askCount:
	default:
		ss.answer(a.request, outcomeError(badRequest), nil)
		return nil
	}
	select {
	case ss.asks <- struct{}{}:
	default:
		ss.answer(a.request, node.ErrBackpressure, nil)
		return nil
	}
	ss.running.Go(func() {
		defer func() { <-ss.asks }()
		ss.ask(&a)
	})
	return nil
}

func (ss *session) answer(request uint64, err error, body any) {
	r := record{kind: uint8(kindAnswer), u: [5]uint64{request, ss.outcome(err)}}
	if err == nil && body != nil {
		r.payload = asBody(body)
	}
	ss.outbox.put(&r, 1)
}

// ask finds what is asked for, and answers.
func (ss *session) ask(a *ask) {
	wait := defaultWait
	if a.what == askSend && a.number > 0 {
		wait = time.Duration(min(a.number, uint64(maxWait/time.Millisecond))) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ss.ctx, wait)
	defer cancel()
	var body any
	err := ss.may(scopeRead)
	switch {
	case a.what == askSend:
		err = ss.sendAndWait(ctx, a)
	case err != nil:
	case a.what == askDescribe:
		body, err = ss.describe(ctx, a.id)
	case a.what == askGroups:
		body, err = ss.server.cfg.Node.Groups(a.id)
	case a.what == askMembers:
		body, err = ss.members(ctx, a)
	case a.what == askCount:
		count, missing, e := ss.server.cfg.Node.GroupCount(ctx, a.name)
		body, err = countBody{count, namesOf(missing)}, e
	}
	ss.answer(a.request, err, body)
}

func (ss *session) sendAndWait(ctx context.Context, a *ask) error {
	kind, err := ss.sending(a.kind)
	if err != nil {
		return err
	}
	return ss.server.cfg.Node.SendAs(ctx, a.id, kind, a.payload)
}

// The bodies of answers.

type connBody struct {
	Listener    string            `json:"listener"`
	Local       string            `json:"local,omitempty"`
	Remote      string            `json:"remote,omitempty"`
	Opened      int64             `json:"opened"` // ms since 1970
	Active      int64             `json:"active"` // ms since 1970
	MessagesIn  uint64            `json:"messages_in"`
	BytesIn     uint64            `json:"bytes_in"`
	MessagesOut uint64            `json:"messages_out"`
	BytesOut    uint64            `json:"bytes_out"`
	Pending     int               `json:"pending"` // bytes
	Meta        map[string]string `json:"meta,omitempty"`
}

type countBody struct {
	Count   int      `json:"count"`
	Missing []string `json:"missing,omitempty"`
}

type membersBody struct {
	Members []node.ID `json:"members"`
	More    bool      `json:"more,omitempty"`
	Missing []string  `json:"missing,omitempty"`
}

func (ss *session) describe(ctx context.Context, id node.ID) (any, error) {
	info, err := ss.server.cfg.Node.Describe(ctx, id)
	if err != nil {
		return nil, err
	}
	b := connBody{
		Listener: info.Listener, Opened: info.Opened.UnixMilli(), Active: info.LastActive.UnixMilli(),
		MessagesIn: info.MessagesIn, BytesIn: info.BytesIn, MessagesOut: info.MessagesOut, BytesOut: info.BytesOut,
		Pending: info.PendingBytes, Meta: info.Meta,
	}
	if info.Local != nil {
		b.Local = info.Local.String()
	}
	if info.Remote != nil {
		b.Remote = info.Remote.String()
	}
	return b, nil
}

func (ss *session) members(ctx context.Context, a *ask) (any, error) {
	limit := a.number
	if limit == 0 {
		limit = maxMembers
	}
	if limit > maxMembers {
		return nil, outcomeError(badRequest)
	}
	page, err := ss.server.cfg.Node.GroupMembers(ctx, a.name, a.id, int(limit))
	return membersBody{page.Members, page.Next != 0, namesOf(page.Missing)}, err
}

func namesOf(missing []*node.NodeError) (names []string) {
	for _, m := range missing {
		names = append(names, m.Node)
	}
	return names
}

// watches are those of one session, by the requests that began them.
type watches struct {
	mu  sync.Mutex
	all map[uint64]*watch // guarded by mu; nil before the first
}

// A watch is one that has not ended.
type watch struct{ cancel context.CancelFunc }

func (w *watches) add(request uint64, one *watch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch _, known := w.all[request]; {
	case known:
		return outcomeError(badRequest)
	case len(w.all) == maxWatches:
		return outcomeError(limit)
	case w.all == nil:
		w.all = make(map[uint64]*watch)
	}
	w.all[request] = one
	return nil
}

// end ends the watch of a request, if there is one.
func (w *watches) end(request uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.all[request]; one != nil {
		one.cancel()
		delete(w.all, request)
	}
}

// ended forgets a watch that has ended, unless its request has begun another one since.
func (w *watches) ended(request uint64, one *watch) {
	one.cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all[request] == one {
		delete(w.all, request)
	}
}

func (ss *session) watchOrNot(a *ask) error {
	if err := ss.may(scopeRead); err != nil {
		return err
	}
	if a.what == askUnwatch {
		ss.watches.end(a.number)
		return nil
	}
	ctx, cancel := context.WithCancel(ss.ctx)
	one := &watch{cancel}
	if err := ss.watches.add(a.request, one); err != nil {
		cancel()
		return err
	}
	events, err := ss.server.cfg.Node.Watch(ctx, a.id)
	if err != nil {
		ss.watches.ended(a.request, one)
		return err
	}
	ss.running.Go(func() {
		defer ss.watches.ended(a.request, one)
		ss.watch(ctx, a.request, events)
	})
	return nil
}

// watch hands on what a watch says, one notice at a time.
func (ss *session) watch(ctx context.Context, request uint64, events <-chan node.WatchEvent) {
	for e := range events {
		select {
		case ss.notices <- struct{}{}:
		case <-ctx.Done():
			return
		}
		r := record{kind: uint8(kindWatched), u: [5]uint64{request}, s: [2]string{e.State.String()}}
		if e.State == node.WatchClosed {
			r.s[1] = e.Reason.String()
		}
		if !e.At.IsZero() {
			r.u[1] = uint64(max(e.At.UnixMilli(), 0))
		}
		ss.outbox.notify(&r)
	}
}
