package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"flamingo/idspace"
	"flamingo/node"
)

// Bounds of what is asked for many connections at once.
const (
	maxBulk       = 8                // requests at once, whose bodies are 128 MiB
	maxBulkIDs    = 10_000           // of one request
	maxBulkLines  = 10_000           // messages of one request
	bulkClosers   = 32               // closes under way at once
	bulkTimeout   = 30 * time.Second // for all of them; over that of one close
	bulkBodyLimit = 16 << 20         // bytes; for MaxMessage above it as many as that allows
)

// bulking is what a Handler needs of a node for many connections at once.
type bulking interface {
	SendManyAs(ids []node.ID, kind node.Kind, msg []byte) []error
}

// A bulkMessage is a line of POST /api/v1/messages: one message, and for whom.
type bulkMessage struct {
	IDs  []string `json:"ids"`
	Text *string  `json:"text"` // the message as text
	Data *[]byte  `json:"data"` // or in base64
}

// message returns the bytes of m, and their kind.
func (m *bulkMessage) message() ([]byte, node.Kind) {
	if m.Text != nil {
		return []byte(*m.Text), node.KindText
	}
	return *m.Data, node.KindBinary
}

// bulkSent is a line of the answer.
type bulkSent struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"` // accepted, or the slug of a problem
	Detail  string `json:"detail,omitempty"`
}

// sendMany answers POST /api/v1/messages. Every line is understood before anything is
// sent; a message is encoded once for all its ids.
func (h *Handler) sendMany(n target, w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	body, done, err := h.takeBody(w, r, h.bulk, max(bulkBodyLimit, 2*h.maxMessage))
	if err != nil {
		return err
	}
	defer done()
	messages, err := h.bulkMessages(body)
	if err != nil {
		return err
	}
	streams(w)
	w.Header().Set("Content-Type", ndjson)
	out := json.NewEncoder(w)
	for i := range messages {
		msg, kind := messages[i].message()
		for _, line := range sendEach(n, messages[i].IDs, kind, msg) {
			if err := out.Encode(line); err != nil {
				break // nobody listens, and what was asked for is done all the same
			}
		}
	}
	return nil
}

const ndjson = "application/x-ndjson"

// sendEach sends a message to each of ids and returns their outcomes, in order.
func sendEach(n target, ids []string, kind node.Kind, msg []byte) []bulkSent {
	lines, valid, places := make([]bulkSent, len(ids)), make([]node.ID, 0, len(ids)), make([]int, 0, len(ids))
	for i, text := range ids {
		lines[i].ID = text
		id, err := idspace.ParseID(text)
		if err != nil {
			lines[i].Outcome, lines[i].Detail = problemBadID, err.Error()
			continue
		}
		valid, places = append(valid, id), append(places, i)
	}
	for k, err := range n.SendManyAs(valid, kind, msg) {
		line := &lines[places[k]]
		if line.Outcome = "accepted"; err != nil {
			line.Outcome, line.Detail = ProblemOf(err).Slug, err.Error()
		}
	}
	return lines
}

// bulkMessages reads the lines of a body.
func (h *Handler) bulkMessages(body []byte) (messages []bulkMessage, err error) {
	ids, number := 0, 0
	for line := range bytes.Lines(body) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var m bulkMessage
		if err := decodeStrictly(line, &m); err != nil {
			return nil, fail(problemBadRequest, "line %d: %v", number, err)
		}
		if (m.Text == nil) == (m.Data == nil) || len(m.IDs) == 0 {
			return nil, fail(problemBadRequest, "line %d: want ids, and either text or data", number)
		}
		if msg, _ := m.message(); int64(len(msg)) > h.maxMessage {
			return nil, fail(problemTooLarge, "line %d: the message has %d bytes, the limit of this API is %d", number, len(msg), h.maxMessage)
		}
		if ids += len(m.IDs); ids > maxBulkIDs || len(messages) == maxBulkLines {
			return nil, fail(problemTooLarge, "line %d: over %d ids or %d messages in one request", number, maxBulkIDs, maxBulkLines)
		}
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return nil, fail(problemBadRequest, `want a line for each message, such as {"ids":["01adc9000000002a"],"text":"hello"}`)
	}
	return messages, nil
}

// decodeStrictly decodes one value of JSON, which has no fields but those of v.
func decodeStrictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("not the JSON that is wanted: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something is behind the value")
	}
	return nil
}

// bulkClose is the body of POST /api/v1/connections/close: ids, or a group.
type bulkClose struct {
	IDs   []string `json:"ids"`
	Group *string  `json:"group"`
}

// bulkClosed is the answer.
type bulkClosed struct {
	DryRun  bool          `json:"dry_run"`
	Matched int           `json:"matched"` // connections that there are, as far as nodes have answered
	Closed  int           `json:"closed"`
	Failed  []bulkFailure `json:"failed,omitempty"`
	Missing []failedNode  `json:"missing,omitempty"`
}

// A bulkFailure is a connection that was not ended.
type bulkFailure struct {
	ID      string `json:"id"`
	Problem string `json:"problem"` // the slug
}

// closeMany answers POST /api/v1/connections/close.
func (h *Handler) closeMany(n target, w http.ResponseWriter, r *http.Request) error {
	values, err := parametersOf(r, "dry_run", "code", "reason")
	if err != nil {
		return err
	}
	dry, err := choice(values, "dry_run", "false", "true")
	if err != nil {
		return err
	}
	code, err := closeCode(values)
	if err != nil {
		return err
	}
	body, done, err := h.takeBody(w, r, h.bulk, maxBulkIDs*20)
	if err != nil {
		return err
	}
	defer done()
	var what bulkClose
	if err := decodeStrictly(body, &what); err != nil {
		return fail(problemBadRequest, "%v", err)
	}
	if (len(what.IDs) == 0) == (what.Group == nil) || len(what.IDs) > maxBulkIDs {
		return fail(problemBadRequest, `want {"ids":[…]}, at most %d, or {"group":"…"}`, maxBulkIDs)
	}
	ctx, cancel := context.WithTimeout(r.Context(), bulkTimeout)
	defer cancel()
	answer := bulkClosed{DryRun: dry == "true"}
	ids := what.IDs
	if what.Group != nil {
		if ids, answer.Missing, err = membersOf(ctx, n, *what.Group); err != nil {
			return err
		}
	}
	answer.end(ctx, n, ids, code, values.Get("reason"))
	return writeJSON(w, http.StatusOK, answer)
}

// membersOf returns the ids of a group on all nodes that answer.
func membersOf(ctx context.Context, n target, group string) (ids []string, missing []failedNode, err error) {
	for after := node.ID(0); ; {
		page, err := n.GroupMembers(ctx, group, after, 1000)
		if err != nil {
			return nil, nil, err
		}
		missing = joined(missing, failedNodes(page.Missing))
		for _, id := range page.Members {
			ids = append(ids, id.String())
		}
		if after = page.Next; after == 0 {
			return ids, missing, nil
		}
		if len(ids) > maxBulkIDs {
			return nil, nil, fail(problemTooLarge, "the group has over %d members: DELETE /api/v1/groups/{group} ends them all", maxBulkIDs)
		}
	}
}

// joined returns the nodes of both, each once: who has not answered for one page is
// missing, whatever it says later.
func joined(nodes, more []failedNode) []failedNode {
	for _, m := range more {
		if !slices.ContainsFunc(nodes, func(n failedNode) bool { return n.Number == m.Number }) {
			nodes = append(nodes, m)
		}
	}
	return nodes
}

// end ends the connections, or looks whether they are there, several at once.
func (b *bulkClosed) end(ctx context.Context, n target, ids []string, code int, reason string) {
	results := make([]error, len(ids))
	var closing sync.WaitGroup
	next := make(chan int) // the goroutines below take; closed below
	for range min(bulkClosers, len(ids)) {
		closing.Go(func() {
			for i := range next {
				results[i] = b.endOne(ctx, n, ids[i], code, reason)
			}
		})
	}
	for i := range ids {
		next <- i
	}
	close(next)
	closing.Wait()
	for i, err := range results {
		switch {
		case err == nil && b.DryRun:
			b.Matched++
		case err == nil:
			b.Matched, b.Closed = b.Matched+1, b.Closed+1
		default:
			b.Failed = append(b.Failed, bulkFailure{ids[i], ProblemOf(err).Slug})
		}
	}
}

func (b *bulkClosed) endOne(ctx context.Context, n target, text string, code int, reason string) error {
	id, err := idspace.ParseID(text)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return fail(problemBusy, "%v are over, or nobody listens", bulkTimeout)
	case b.DryRun:
		_, err = n.Describe(ctx, id)
		return err
	default:
		return n.DisconnectWith(id, code, reason)
	}
}
