package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"flamingo/node"
)

// Bounds of ?timeout.
const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = time.Minute
)

// sent is the answer to a message that was taken.
type sent struct {
	ID      node.ID `json:"id"`
	Outcome string  `json:"outcome"` // accepted or written
	Elapsed int64   `json:"elapsed_us"`
}

// send answers POST /api/v1/connections/{id}/messages: the body is the message.
func (h *Handler) send(n target, w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	timeout, written, err := sendParameters(r)
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
	if !written {
		if err := n.SendDataAs(id, kind, msg); err != nil {
			return err
		}
		return writeJSON(w, http.StatusAccepted, sent{id, "accepted", h.now().Sub(begun).Microseconds()})
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if err := n.SendAs(ctx, id, kind, msg); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, sent{id, "written", h.now().Sub(begun).Microseconds()})
}

// takeMessage reads the body in one of the places for messages under way, which it
// holds until done is called.
func (h *Handler) takeMessage(w http.ResponseWriter, r *http.Request) (msg []byte, done func(), err error) {
	select {
	case h.sending <- struct{}{}:
	default:
		return nil, nil, fail(problemBusy, "%d messages are under way", cap(h.sending))
	}
	done = func() { <-h.sending }
	if msg, err = h.readMessage(w, r); err != nil {
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

func sendParameters(r *http.Request) (timeout time.Duration, written bool, err error) {
	values, err := parametersOf(r, "ack", "timeout")
	if err != nil {
		return 0, false, err
	}
	ack, err := choice(values, "ack", "queued", "written")
	if err != nil {
		return 0, false, err
	}
	written = ack == "written"
	if !values.Has("timeout") {
		return defaultTimeout, written, nil
	}
	if !written {
		return 0, false, fail(problemBadRequest, "timeout is given: allowed only with ack=written")
	}
	timeout, err = time.ParseDuration(values.Get("timeout"))
	if err != nil || timeout <= 0 || timeout > maxTimeout {
		return 0, false, fail(problemBadRequest, "timeout=%.40q: allowed is a time such as 500ms or 2s, up to %v", values.Get("timeout"), maxTimeout)
	}
	return timeout, written, nil
}

// readMessage reads the body, and no more of it than a message may have.
func (h *Handler) readMessage(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > h.maxMessage {
		w.Header().Set("Connection", "close") // the rest is not worth reading
		return nil, fail(problemTooLarge, "the message has %d bytes, the limit of this API is %d", r.ContentLength, h.maxMessage)
	}
	msg, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxMessage))
	if err == nil {
		return msg, nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		w.Header().Set("Connection", "close")
		return nil, fail(problemTooLarge, "the message has over %d bytes, the limit of this API", h.maxMessage)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fail(problemSlowRequest, "the body did not arrive within %v", h.patience)
	}
	return nil, fail(problemBadRequest, "body: %v", err)
}
