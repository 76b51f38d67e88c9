package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"flamingo/node"
)

// Bounds of ?timeout and ?within.
const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = time.Minute
	maxWithin      = time.Hour
)

// sent is the answer to a message that was taken.
type sent struct {
	ID      node.ID `json:"id"`
	Outcome string  `json:"outcome"` // accepted, written or acknowledged
	Elapsed int64   `json:"elapsed_us"`
}

// send answers POST /api/v1/connections/{id}/messages: the body is the message.
func (h *Handler) send(n target, w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	how, err := manner(r)
	if err != nil {
		return err
	}
	msg, done, err := h.takeMessage(w, r)
	if err != nil {
		return err
	}
	defer done()
	kind := kindOf(r.Header.Get("Content-Type"))
	begun := h.now()
	status, outcome := http.StatusOK, "written"
	ctx, cancel := context.WithTimeout(r.Context(), how.timeout)
	defer cancel()
	switch {
	case how.ack == ackPeer:
		outcome, err = "acknowledged", n.SendAckedAs(ctx, id, kind, msg)
	case how.ack == ackWritten:
		err = n.SendAs(ctx, id, kind, msg)
	case how.within > 0:
		status, outcome, err = http.StatusAccepted, "accepted", n.SendDataBeforeAs(begun.Add(how.within), id, kind, msg)
	default:
		status, outcome, err = http.StatusAccepted, "accepted", n.SendDataAs(id, kind, msg)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, status, sent{id, outcome, h.now().Sub(begun).Microseconds()})
}

// takeMessage is takeBody of a message.
func (h *Handler) takeMessage(w http.ResponseWriter, r *http.Request) (msg []byte, done func(), err error) {
	return h.takeBody(w, r, h.sending, h.maxMessage)
}

// takeBody reads the body, of at most limit bytes, in one of the places for those under
// way, which it holds until done is called.
func (h *Handler) takeBody(w http.ResponseWriter, r *http.Request, places chan struct{}, limit int64) (msg []byte, done func(), err error) {
	select {
	case places <- struct{}{}:
	default:
		return nil, nil, fail(problemBusy, "%d messages are under way", cap(places))
	}
	done = func() { <-places }
	if msg, err = h.readBody(w, r, limit); err != nil {
		done()
		return nil, nil, err
	}
	return msg, done, nil
}

// kindOf returns the kind of a message whose body has this type. That of forms is
// what curl -d says of every body, and so says nothing.
func kindOf(contentType string) node.Kind {
	media, _, _ := strings.Cut(contentType, ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); {
	case media == "" || media == "application/x-www-form-urlencoded":
		return node.KindDefault
	case strings.HasPrefix(media, "text/") || media == "application/json":
		return node.KindText
	default:
		return node.KindBinary
	}
}

// What ?ack is: how far the message is to have come before the answer.
const (
	ackQueued  = "queued"
	ackWritten = "written"
	ackPeer    = "peer"
)

// A sending is what the parameters of a send say.
type sending struct {
	ack     string
	timeout time.Duration // with ack other than queued
	within  time.Duration // with ack queued; 0 for ever
}

func manner(r *http.Request) (how sending, err error) {
	values, err := parametersOf(r, "ack", "timeout", "within")
	if err != nil {
		return how, err
	}
	if how.ack, err = choice(values, "ack", ackQueued, ackWritten, ackPeer); err != nil {
		return how, err
	}
	waits := how.ack != ackQueued
	if !waits && values.Has("timeout") {
		return how, fail(problemBadRequest, "timeout is given: allowed only with ack=written or ack=peer")
	}
	if waits && values.Has("within") {
		return how, fail(problemBadRequest, "within is given: allowed only with ack=queued; timeout is for ack=%s", how.ack)
	}
	if how.timeout, err = span(values, "timeout", maxTimeout, defaultTimeout); err != nil {
		return how, err
	}
	how.within, err = span(values, "within", maxWithin, 0)
	return how, err
}

// span returns a parameter that is a time of more than nothing.
func span(values url.Values, name string, most, unset time.Duration) (time.Duration, error) {
	if !values.Has(name) {
		return unset, nil
	}
	d, err := time.ParseDuration(values.Get(name))
	if err != nil || d <= 0 || d > most {
		return 0, fail(problemBadRequest, "%s=%.40q: allowed is a time such as 500ms or 2s, up to %v", name, values.Get(name), most)
	}
	return d, nil
}

// readBody reads the body, and no more of it than limit bytes.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // the rest is not worth reading
		return nil, fail(problemTooLarge, "the message has %d bytes, the limit of this API is %d", r.ContentLength, limit)
	}
	msg, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		return msg, nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		w.Header().Set("Connection", "close")
		return nil, fail(problemTooLarge, "the message has over %d bytes, the limit of this API", limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fail(problemSlowRequest, "the body did not arrive within %v", h.patience)
	}
	return nil, fail(problemBadRequest, "body: %v", err)
}
