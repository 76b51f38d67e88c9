package attach

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"flamingo/node"
)

// Defaults and bounds of a Webhook.
const (
	DefaultHookBatch   = 100
	DefaultHookLanes   = 4
	DefaultHookTimeout = 10 * time.Second

	maxHookBatch = 1000
	maxHookLanes = 64
	minSecret    = 16 // bytes

	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second // the longest pause between two attempts
	hookNews   = time.Minute      // between two lines of the log about a hook that fails
)

// A Webhook is a URL that events are posted to: the application of those who have a
// server for HTTP and nothing else. Batches of a connection come in order, one after
// the other; a batch is posted again, the same to the last byte, until the answer is a
// success. docs/webhooks.md says what is posted and what may be answered.
type Webhook struct {
	// URL is http or https. Needed.
	URL string

	// Secret signs what is posted. At least 16 bytes; needed.
	Secret []byte

	// Events are the types that are wanted. None means all; the others are
	// acknowledged unseen.
	Events []node.EventType

	// Batch is the most events of one request. Zero means DefaultHookBatch; at most 1000.
	Batch int

	// Lanes are how many requests may be under way. Zero means DefaultHookLanes; at most 64.
	Lanes int

	// Timeout bounds one attempt. Zero means DefaultHookTimeout; not negative.
	Timeout time.Duration

	// Transport carries the requests. Nil means http.DefaultTransport.
	Transport http.RoundTripper
}

// Check reports every setting that is out of its range; New does so too.
func (w *Webhook) Check() error {
	var faults []error
	bad := func(name string, value any, want string) {
		faults = append(faults, fmt.Errorf("%w: Webhook.%s %v: allowed are %s", node.ErrBadOption, name, value, want))
	}
	if u, err := url.Parse(w.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		bad("URL", strconv.Quote(w.URL), "http://HOST/PATH and https://HOST/PATH")
	}
	if len(w.Secret) < minSecret {
		bad("Secret", fmt.Sprint("of ", len(w.Secret), " bytes"), "16 bytes or more")
	}
	for _, t := range w.Events {
		if t < node.EventOpen || t > node.EventClose {
			bad("Events", t, "EventOpen, EventMessage and EventClose")
		}
	}
	if w.Batch < 0 || w.Batch > maxHookBatch {
		bad("Batch", w.Batch, "0 to 1000")
	}
	if w.Lanes < 0 || w.Lanes > maxHookLanes {
		bad("Lanes", w.Lanes, "0 to 64")
	}
	if w.Timeout < 0 {
		bad("Timeout", w.Timeout, "0 and more")
	}
	return errors.Join(faults...)
}

// A hook posts events. It is a worker with lanes in place of a stream.
type hook struct {
	Webhook
	server *Server
	client *http.Client
	wanted [node.EventClose + 1]bool

	mu   sync.Mutex
	told time.Time // guarded by mu: of a failure; zero while there is none
}

func newHook(s *Server, w Webhook) *hook {
	w.Batch, w.Lanes = cmp.Or(w.Batch, DefaultHookBatch), cmp.Or(w.Lanes, DefaultHookLanes)
	w.Timeout = cmp.Or(w.Timeout, DefaultHookTimeout)
	h := &hook{Webhook: w, server: s}
	h.client = &http.Client{
		Transport: w.Transport, Timeout: w.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a signed body goes nowhere else
	}
	for _, t := range w.Events {
		h.wanted[t] = true
	}
	if len(w.Events) == 0 {
		h.wanted = [...]bool{node.EventOpen: true, node.EventMessage: true, node.EventClose: true}
	}
	return h
}

// run posts until ctx is done.
func (h *hook) run(ctx context.Context) {
	var lanes sync.WaitGroup
	defer lanes.Wait()
	for range h.Lanes {
		f := &feed{
			wake: make(chan struct{}, 1), number: h.server.hub.number(),
			window: uint64(h.Batch), bytes: defaultWindowBytes,
		}
		h.server.hub.add(f)
		lanes.Go(func() { h.lane(ctx, f) })
	}
}

// lane posts what one feed brings, a batch after the other.
func (h *hook) lane(ctx context.Context, f *feed) {
	hub := h.server.hub
	defer hub.remove(f, endClosed)
	ss := &session{server: h.server, feed: f, scopes: scopeSend} // that does the actions
	var batch []entry
	for {
		var first uint64
		first, batch = hub.next(f, batch[:0], h.Batch, time.Now())
		if len(batch) == 0 {
			select {
			case <-f.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		delivery := fmt.Sprintf("%s-%d-%d", h.server.cfg.Node.Number(), f.number, first)
		var answer record
		if body := h.body(delivery, first, batch); body != nil && h.deliver(ctx, delivery, body, &answer) != nil {
			return
		}
		ss.do(answer.actions)
		hub.acknowledge(f, first, first+uint64(len(batch))-1, time.Now())
		clear(batch)
	}
}

// body is what is posted of a batch; nil if nobody wants any of it.
func (h *hook) body(delivery string, first uint64, batch []entry) []byte {
	b := fmt.Appendf(nil, `{"delivery":"%s","node_number":"%s"`, delivery, h.server.cfg.Node.Number())
	if name := h.server.cfg.NodeName; name != "" {
		b = appendQuoted(appendName(b, "node"), name)
	}
	b = append(appendName(b, "events"), '[')
	begin := len(b)
	var r record
	for i := range batch {
		if h.wanted[batch[i].Type] {
			batch[i].record(&r, first+uint64(i))
			b = append(jsonForm{}.appendFrame(b, &r), ',')
		}
	}
	if len(b) == begin {
		return nil
	}
	b[len(b)-1] = ']'
	return append(b, '}')
}

// deliver posts until that is a success, whose actions it reads into answer. The error
// is that of ctx.
func (h *hook) deliver(ctx context.Context, delivery string, body []byte, answer *record) error {
	for attempt, pause := 1, firstRetry; ; attempt++ {
		after, err := h.post(ctx, delivery, attempt, body, answer)
		h.server.posts.Add(1)
		h.news(err, attempt)
		if err == nil {
			return nil
		}
		h.server.postsFailed.Add(1)
		wait := max(pause/2+rand.N(pause/2), after)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(2*pause, lastRetry)
	}
}

// post makes one attempt. after is how long the server wants to be left alone, at most
// a minute.
func (h *hook) post(ctx context.Context, delivery string, attempt int, body []byte, answer *record) (after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "flamingo")
	req.Header.Set("Flamingo-Delivery", delivery)
	req.Header.Set("Flamingo-Attempt", strconv.Itoa(attempt))
	req.Header.Set("Flamingo-Signature", sign(h.Secret, time.Now(), body))
	resp, err := h.client.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // without the URL, which may hold a secret
		}
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxFrame+1))
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // a date is none
		return min(time.Duration(max(seconds, 0))*time.Second, time.Minute), fmt.Errorf("answered with %d", resp.StatusCode)
	case len(text) > maxFrame:
		return 0, fmt.Errorf("an answer of more than %d bytes", maxFrame)
	}
	return 0, readAnswer(text, answer)
}

// readAnswer reads the actions that an answer has, which may be empty.
func readAnswer(text []byte, answer *record) error {
	answer.reset()
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	var o object
	if err := json.Unmarshal(text, &o); err != nil {
		return malformed("the answer is not a JSON object: %.100q", text)
	}
	if err := o.actions("actions", answer); err != nil {
		return err
	}
	for name := range o {
		return malformed("an answer has no member %.40q", name)
	}
	return nil
}

// sign is the signature of a body that is posted at that time: of the time and the
// body, so that what was posted once cannot be posted again later by others.
func sign(secret []byte, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// news logs that a hook fails, once a while, and that it succeeds again.
func (h *hook) news(err error, attempt int) {
	now := time.Now()
	h.mu.Lock()
	before := h.told
	switch {
	case err == nil && attempt > 1:
		h.told = time.Time{}
	case err != nil && now.Sub(before) >= hookNews:
		h.told = now
	}
	changed := h.told != before
	h.mu.Unlock()
	switch {
	case !changed:
	case err == nil:
		h.server.logger.Info("the webhook takes events again", "attempts", attempt)
	default:
		h.server.logger.Warn("the webhook takes no events: they wait, and are posted again", "attempt", attempt, "err", err)
	}
}
