package attach

import (
	"sync"
	"time"

	"flamingo/node"
)

// maxNotices bounds the notices of watches that are not written; the watches of a
// session wait for each other beyond it.
const maxNotices = 64

// An outbox is what a writer is to write, but for events: answers, which the requests
// without answer bound, notices, and pings.
type outbox struct {
	form   format // set before anything is put, as the next
	stream stream
	wake   func()

	mu      sync.Mutex
	frames  []byte // guarded by mu, as all that follows
	answers int    // among frames
	notices int    // among frames
	pending int    // requests whose answer is not written
	pongDue bool
	over    bool
	why     ending // once over
}

func (o *outbox) init(wake func()) { o.wake = wake }

// put appends a frame, of which so many are answers.
func (o *outbox) put(r *record, answers int) {
	o.mu.Lock()
	o.putLocked(r)
	o.answers += answers
	o.mu.Unlock()
	o.wake()
}

// notify appends the notice of a watch, for which the caller has a token.
func (o *outbox) notify(r *record) {
	o.mu.Lock()
	o.putLocked(r)
	o.notices++
	o.mu.Unlock()
	o.wake()
}

func (o *outbox) putLocked(r *record) {
	start := len(o.frames)
	o.frames = o.stream.seal(o.form.appendFrame(o.frames, r), start)
}

// pong answers pings: several that came before the writer was there with one.
func (o *outbox) pong() {
	o.mu.Lock()
	o.pongDue = true
	o.mu.Unlock()
	o.wake()
}

// begin counts a request that gets an answer.
func (o *outbox) begin(request uint64) error {
	if request == 0 {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending == maxRequests {
		return malformed("more than %d requests without an answer", maxRequests)
	}
	o.pending++
	return nil
}

// A load is what was taken from an outbox.
type load struct {
	answers, notices int
	over             bool // nothing comes behind it
	why              ending
}

// take moves what is there behind b.
func (o *outbox) take(b []byte) ([]byte, load) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pongDue {
		o.pongDue = false
		o.putLocked(&record{kind: uint8(kindPong)})
	}
	l := load{o.answers, o.notices, o.over, o.why}
	b = append(b, o.frames...)
	o.frames, o.answers, o.notices = o.frames[:0], 0, 0
	if cap(o.frames) > 1<<20 {
		o.frames = nil
	}
	return b, l
}

// wrote says that a load is written.
func (o *outbox) wrote(l load) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending -= l.answers
}

// end decides why the session has ended; it reports whether that was decided before.
func (o *outbox) end(e ending) (why ending, first bool) {
	o.mu.Lock()
	if first = !o.over; first {
		o.over, o.why = true, e
	}
	why = o.why
	o.mu.Unlock()
	o.wake()
	return why, first
}

func (o *outbox) ending() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.over
}

// A writer's batches.
const (
	eventsAtOnce = 512
	keepBuffer   = 1 << 20 // bytes of a buffer that is kept
)

// write writes what there is until the session is over, and then the end.
func (ss *session) write() {
	every := min(pingEvery/2, ss.server.cfg.AckTimeout/2)
	tick := time.NewTicker(every)
	defer tick.Stop()
	buf, batch := append([]byte(nil), ss.stream.begin()...), []entry(nil)
	pinged := time.Now()
	for {
		var l load
		buf, l = ss.outbox.take(buf)
		if l.over {
			ss.writeEnd(buf, l.why)
			return
		}
		buf, batch = ss.appendEvents(buf, batch[:0])
		if len(buf) == 0 {
			select {
			case <-ss.feed.wake:
			case now := <-tick.C:
				pinged = ss.tend(now, pinged)
			}
			continue
		}
		if err := ss.flush(buf); err != nil {
			return
		}
		ss.outbox.wrote(l)
		for range l.notices {
			<-ss.notices
		}
		select {
		case now := <-tick.C:
			pinged = ss.tend(now, pinged)
		default:
		}
		if buf = buf[:0]; cap(buf) > keepBuffer {
			buf = nil
		}
	}
}

// flush writes b. After an error the session ends.
func (ss *session) flush(b []byte) error {
	ss.nc.allowWrite(silence)
	_, err := ss.nc.Write(b)
	if err != nil {
		e := endingOf(err)
		if e.why == endSilent {
			e.why = endStuck
		}
		ss.abandon(e)
	}
	return err
}

// abandon is stop of a session that can no longer be written to: what the worker has
// said by then is still done, if its stream has ended.
func (ss *session) abandon(e ending) {
	if e.why != endLost {
		ss.stop(e)
		return
	}
	ss.broken.Store(true)
	end := time.Now().Add(farewell)
	ss.nc.endBy(end, end)
}

// writeEnd writes what is left and why the session has ended. If that fails nobody
// reads it.
func (ss *session) writeEnd(b []byte, why ending) {
	start := len(b)
	b = ss.form.appendFrame(b, &record{kind: uint8(kindEnd), s: [2]string{why.why.String(), why.text}})
	b = ss.stream.seal(b, start)
	_, _ = ss.nc.Write(append(b, ss.stream.end()...))
}

// appendEvents appends events that may be sent, and in the end of a leave says so.
func (ss *session) appendEvents(b []byte, batch []entry) ([]byte, []entry) {
	number, batch := ss.server.hub.next(ss.feed, batch, eventsAtOnce, time.Now())
	var r record
	for i := range batch {
		start := len(b)
		batch[i].record(&r, number+uint64(i))
		b = ss.stream.seal(ss.form.appendFrame(b, &r), start)
	}
	clear(batch)
	if out, _, leaving := ss.server.hub.state(ss.feed); leaving && out == 0 {
		ss.stop(ending{endLeft, ""})
	}
	return b, batch
}

// record is e as a frame.
func (e *entry) record(r *record, number uint64) {
	r.kind = uint8(eventKinds[e.Type])
	r.u = [5]uint64{number, uint64(e.again), uint64(e.ID), uint64(e.Kind)}
	r.payload = e.Data
	switch {
	case e.Conn != nil:
		r.s = [2]string{e.Conn.LocalAddr().String(), e.Conn.RemoteAddr().String()}
	case e.Type == node.EventClose:
		r.s = [2]string{e.Why.String()}
	}
}

// tend ends a session of a worker that does not acknowledge, and pings the others every
// so often. It returns when this was last.
func (ss *session) tend(now, pinged time.Time) time.Time {
	if out, since, _ := ss.server.hub.state(ss.feed); out > 0 && now.Sub(since) >= ss.server.cfg.AckTimeout {
		ss.stop(ending{endStalled, "the oldest event is out for too long"})
		return pinged
	}
	if now.Sub(pinged) < pingEvery {
		return pinged
	}
	ss.outbox.put(&record{kind: uint8(kindPing)}, 0)
	return now
}
