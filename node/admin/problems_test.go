package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/admin"
)

// contract is the table of outcomes as the project has fixed it. A line here
// changes only with that.
var contract = []struct {
	outcome   error
	status    int
	slug      string
	exit      int
	retryable bool
}{
	{node.ErrGone, 410, "gone", 3, false},
	{node.ErrNeverIssued, 404, "never-issued", 3, false},
	{node.ErrUnreachable, 503, "unreachable", 4, true},
	{node.ErrBackpressure, 429, "backpressure", 4, true}, // later
	{node.ErrExpired, 504, "expired", 4, false},          // whoever sent it knows whether it is still of use
	{node.ErrUncertain, 504, "uncertain", 5, false},      // only if doubles do no harm
	{node.ErrTooLarge, 413, "too-large", 2, false},
	{node.ErrUnframeable, 422, "unframeable", 2, false},
	{node.ErrBadID, 400, "bad-id", 2, false},
	{node.ErrClosed, 503, "closed", 4, true}, // of another node
	{node.ErrBadCloseCode, 400, "bad-close-code", 2, false},
	{node.ErrBadGroup, 400, "bad-group", 2, false},
	{node.ErrLimit, 409, "limit", 4, false},
	{node.ErrNoAck, 422, "no-ack", 2, false},
}

func TestOutcomesAreThoseOfTheContract(t *testing.T) {
	all := admin.Problems()
	for i, want := range contract {
		got := all[i]
		if !errors.Is(got.Outcome, want.outcome) || got.Status != want.status || got.Slug != want.slug || got.Exit != want.exit || got.Retryable != want.retryable {
			t.Errorf("line %d: %+v, want %+v", i, got, want)
		}
		for _, err := range []error{want.outcome, &node.OpError{Op: "send", Err: fmt.Errorf("beside: %w", want.outcome)}} {
			if got := admin.ProblemOf(err); got.Slug != want.slug {
				t.Errorf("%v is the problem %s, want %s", err, got.Slug, want.slug)
			}
		}
	}
	seen := map[string]bool{}
	for i, p := range all {
		if (p.Outcome != nil) != (i < len(contract)) {
			t.Errorf("%s: outcome %v; the outcomes come first", p.Slug, p.Outcome)
		}
		if p.Title == "" || http.StatusText(p.Status) == "" || p.Status < 400 || p.Exit < 1 || p.Exit > 5 || seen[p.Slug] || p.Type() != "/problems/"+p.Slug {
			t.Errorf("%+v: something is missing, or twice", p)
		}
		seen[p.Slug] = true
	}
	all[0].Slug = "changed"
	if admin.Problems()[0].Slug != "gone" {
		t.Error("the table can be changed from outside")
	}
}

func TestWhatMayHaveArrivedIsNeverCalledNotSent(t *testing.T) {
	for _, p := range admin.Problems() {
		if p.Outcome == nil {
			continue
		}
		if got := admin.ProblemOf(fmt.Errorf("%w: %w", p.Outcome, node.ErrUncertain)); got.Slug != "uncertain" {
			t.Errorf("%s and uncertain is the problem %s", p.Slug, got.Slug)
		}
	}
	if got := admin.ProblemOf(errors.New("never heard of")); got.Slug != "internal" || got.Retryable {
		t.Errorf("an unknown error is %+v", got)
	}
}

func TestEveryProblemHasItsPage(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{})) // also before there is a node
	for _, p := range admin.Problems() {
		got := a.expect("GET", p.Type(), "", 200, "")
		if kind := got.header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
			t.Errorf("%s: type %q", p.Slug, kind)
		}
		for _, want := range []string{p.Title + "\n", "problem    " + p.Slug + "\n", fmt.Sprintf("exit code  %d\n", p.Exit), strconv.Itoa(p.Status) + " " + http.StatusText(p.Status)} {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s: the page does not say %q:\n%s", p.Slug, want, got.body)
			}
		}
		if strings.Count(got.body, "\n") < 7 || len(got.body) < 150 || len(got.body) > 1000 {
			t.Errorf("%s: a page of %d bytes:\n%s", p.Slug, len(got.body), got.body)
		}
	}
}

// A scene makes a node refuse something.
type scene struct {
	name string
	opts func(o *node.Opts)
	ask  func(t *testing.T, a *api, n *node.Node, c *client, id node.ID) (answer, node.ID)
	want string // the body, with ID for the id and MESSAGES for its path
}

func post(a *api, id node.ID, query, msg string) answer {
	a.t.Helper()
	return a.do("POST", "/api/v1/connections/"+id.String()+"/messages"+query, msg)
}

// long is a message that no kernel takes as a whole for a client that does not
// read.
var long = strings.Repeat("x", 16<<20)

var scenes = []scene{
	{
		name: "gone",
		ask: func(t *testing.T, a *api, n *node.Node, c *client, id node.ID) (answer, node.ID) {
			c.Close()
			within(t, "the close", n.RecvClose)
			return post(a, id, "", "x"), id
		},
		want: `410 {"type":"/problems/gone","title":"The connection is gone","status":410,"detail":"send ID: connection is gone: closed TIME, reason client","instance":"MESSAGES","id":"ID","outcome":"gone","retryable":false,"closed_at":"TIME","reason":"client"}`,
	},
	{
		name: "never-issued",
		ask: func(_ *testing.T, a *api, _ *node.Node, _ *client, id node.ID) (answer, node.ID) {
			return post(a, id+1, "?ack=written", "x"), id + 1
		},
		want: `404 {"type":"/problems/never-issued","title":"The id was never issued","status":404,"detail":"send ID: id was never issued","instance":"MESSAGES","id":"ID","outcome":"never-issued","retryable":false}`,
	},
	{
		name: "backpressure",
		opts: func(o *node.Opts) { o.SlowClient = node.SlowFailSender; o.OutputBytes = 1 << 10 },
		ask: func(t *testing.T, a *api, _ *node.Node, _ *client, id node.ID) (answer, node.ID) {
			msg := strings.Repeat("x", 1<<20)
			for range 1000 { // more than the kernel keeps for a client that does not read
				if got := post(a, id, "", msg); got.status != 202 {
					return got, id
				}
			}
			t.Fatal("the queue of the client never fills")
			panic("unreachable")
		},
		want: `429 {"type":"/problems/backpressure","title":"A queue on the way is full","status":429,"detail":"send ID: output queue is full","instance":"MESSAGES","id":"ID","outcome":"backpressure","retryable":true}`,
	},
	{
		name: "uncertain",
		ask: func(_ *testing.T, a *api, _ *node.Node, _ *client, id node.ID) (answer, node.ID) {
			for { // the kernel takes a part, if the loop comes to write it in time
				if got := post(a, id, "?ack=written&timeout=1s", long); !strings.Contains(got.body, "expired") {
					return got, id
				}
			}
		},
		want: `504 {"type":"/problems/uncertain","title":"Delivery is uncertain","status":504,"detail":"send ID: handed to the network, delivery unknown: context deadline exceeded","instance":"MESSAGES","id":"ID","outcome":"uncertain","retryable":false}`,
	},
	{
		name: "expired",
		opts: func(o *node.Opts) { o.OutputBytes = 1 << 30 },
		ask: func(_ *testing.T, a *api, _ *node.Node, _ *client, id node.ID) (answer, node.ID) {
			a.expect("POST", "/api/v1/connections/"+id.String()+"/messages", long, 202, "")
			return post(a, id, "?ack=written&timeout=1ms", "behind it"), id
		},
		want: `504 {"type":"/problems/expired","title":"The message was not written in time","status":504,"detail":"send ID: expired before it was written: context deadline exceeded","instance":"MESSAGES","id":"ID","outcome":"expired","retryable":false}`,
	},
	{
		name: "too-large for the framing",
		opts: func(o *node.Opts) { o.Listen = []string{"tcp://127.0.0.1:0?framing=line&max-message=10"} },
		ask: func(_ *testing.T, a *api, _ *node.Node, _ *client, id node.ID) (answer, node.ID) {
			return post(a, id, "", strings.Repeat("x", 11)), id
		},
		want: `413 {"type":"/problems/too-large","title":"The message is too large","status":413,"detail":"send ID: framing: message too large: at least 11 bytes, limit 10","instance":"MESSAGES","id":"ID","outcome":"too-large","retryable":false}`,
	},
	{
		name: "too-large for the API",
		ask: func(_ *testing.T, a *api, _ *node.Node, _ *client, id node.ID) (answer, node.ID) {
			return post(a, id, "", long+"x"), id
		},
		want: `413 {"type":"/problems/too-large","title":"The message is too large","status":413,"detail":"the message has 16777217 bytes, the limit of this API is 16777216","instance":"MESSAGES","id":"ID","outcome":"too-large","retryable":false}`,
	},
	{
		name: "unframeable",
		ask: func(_ *testing.T, a *api, _ *node.Node, _ *client, id node.ID) (answer, node.ID) {
			return post(a, id, "", "two\nlines"), id
		},
		want: `422 {"type":"/problems/unframeable","title":"The message does not fit the framing","status":422,"detail":"send ID: framing: message does not fit the framing: it contains a line feed at byte 3","instance":"MESSAGES","id":"ID","outcome":"unframeable","retryable":false}`,
	},
	{
		name: "bad-id",
		ask: func(_ *testing.T, a *api, _ *node.Node, _ *client, _ node.ID) (answer, node.ID) {
			return a.do("POST", "/api/v1/connections/01ADC9000000002A/messages", "x"), 0
		},
		want: `400 {"type":"/problems/bad-id","title":"Not an id","status":400,"detail":"not an id: \"01ADC9000000002A\": want 16 lower-case hex digits, 9 of node number and 7 of serial, neither zero","instance":"/api/v1/connections/01ADC9000000002A/messages","outcome":"bad-id","retryable":false}`,
	},
	{
		name: "closed",
		ask: func(t *testing.T, a *api, n *node.Node, _ *client, id node.ID) (answer, node.ID) {
			closeNow(t, n)
			return post(a, id, "", "x"), id
		},
		want: `503 {"type":"/problems/closed","title":"This node is closed","status":503,"detail":"send ID: closed","instance":"MESSAGES","id":"ID","outcome":"closed","retryable":true}`,
	},
}

func TestEveryOutcomeAsAUserSeesIt(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			opts := lines()
			opts.MaxMessage = 16 << 20
			if s.opts != nil {
				s.opts(&opts)
			}
			a, n := show(t, admin.Config{MaxMessage: 16 << 20}, opts)
			c, id := connect(t, n)
			got, asked := s.ask(t, a, n, c, id)
			checkGolden(t, got, asked, s.want)
		})
	}
}

// checkGolden compares an answer with a golden one.
func checkGolden(t *testing.T, got answer, id node.ID, want string) {
	t.Helper()
	text := fmt.Sprintf("%d %s", got.status, got.body)
	text = strings.ReplaceAll(text, "/api/v1/connections/"+id.String()+"/messages", "MESSAGES")
	text = varying.Replace(strings.ReplaceAll(text, id.String(), "ID"))
	if text != want+"\n" {
		t.Errorf("got  %swant %s", text, want)
	}
	problemIn(t, got)
	retry := got.status == 429 || got.status == 503
	if has := got.header.Get("Retry-After") != ""; has != retry {
		t.Errorf("%d with Retry-After: %v, want %v", got.status, has, retry)
	}
}

// What needs another node, or a fault, is played by a fake.
func TestOutcomesOfOtherNodesAsAUserSeesThem(t *testing.T) {
	const id node.ID = 0x01adc9000000002a
	a := serve(t, newHandler(t, admin.Config{}))
	f := &fake{}
	a.h.AttachTarget(f)
	for _, c := range []struct {
		err  error
		want string
	}{
		{
			&node.OpError{Op: "send", ID: id, Err: node.ErrUnreachable},
			`503 {"type":"/problems/unreachable","title":"The connection's node is unreachable","status":503,"detail":"send ID: node is unreachable","instance":"MESSAGES","id":"ID","outcome":"unreachable","retryable":true}`,
		},
		{
			errors.New("out of order"),
			`500 {"type":"/problems/internal","title":"The node has failed","status":500,"detail":"out of order","instance":"MESSAGES","id":"ID","retryable":false}`,
		},
	} {
		f.err = c.err
		checkGolden(t, post(a, id, "", "x"), id, c.want)
	}
}

func TestRequestsThatFailByThemselvesAsAUserSeesThem(t *testing.T) {
	const id node.ID = 0x01adc9000000002a
	h := newHandler(t, admin.Config{})
	h.AttachTarget(&fake{})
	ask := func(r *http.Request) answer {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return answer{w.Code, w.Header(), w.Body.String()}
	}
	messages := sample + "/messages"
	slow := request("POST", messages)
	slow.Body, slow.ContentLength = http.NoBody, -1
	slow.Body = brokenBody{os.ErrDeadlineExceeded}
	broken := request("POST", messages)
	broken.Body, broken.ContentLength = brokenBody{errors.New("unexpected EOF")}, -1

	release := h.Occupy()
	busy := ask(request("POST", messages))
	release()
	for _, c := range []struct {
		got  answer
		want string
	}{
		{busy, `429 {"type":"/problems/busy","title":"Too many requests of this kind at once","status":429,"detail":"256 messages are under way","instance":"MESSAGES","id":"ID","retryable":true}`},
		{ask(slow), `408 {"type":"/problems/slow-request","title":"The request took too long","status":408,"detail":"the body did not arrive within 30s","instance":"MESSAGES","id":"ID","retryable":true}`},
		{ask(broken), `400 {"type":"/problems/bad-request","title":"The request is not understood","status":400,"detail":"body: unexpected EOF","instance":"MESSAGES","id":"ID","retryable":false}`},
		{ask(request("POST", messages+"?ack=maybe")), `400 {"type":"/problems/bad-request","title":"The request is not understood","status":400,"detail":"ack=\"maybe\": allowed is queued or written or peer","instance":"MESSAGES","id":"ID","retryable":false}`},
		{ask(request("GET", messages)), `405 {"type":"/problems/no-such-method","title":"No such method","status":405,"detail":"\"GET\" here; allowed is POST","instance":"MESSAGES","id":"ID","retryable":false}`},
		{ask(request("GET", "/api/v1/nods")), `404 {"type":"/problems/no-such-path","title":"No such path","status":404,"detail":"\"/api/v1/nods\" is no path of this node","instance":"/api/v1/nods","retryable":false}`},
		{ask(request("GET", messages, from("192.0.2.7:1"))), `403 {"type":"/problems/forbidden","title":"Only loopback is answered","status":403,"detail":"without a token the node answers only on loopback","instance":"MESSAGES","retryable":false}`},
		{ask(request("GET", messages, asking("evil.example"))), `421 {"type":"/problems/wrong-host","title":"The host is not this node's","status":421,"detail":"host \"evil.example\": without a token the node answers to localhost and to hosts it was told of","instance":"MESSAGES","retryable":false}`},
		{ask(request("POST", messages, with("Sec-Fetch-Site", "cross-site"))), `403 {"type":"/problems/cross-origin","title":"Another site asked","status":403,"detail":"a page of another origin asked: cross-origin request detected from Sec-Fetch-Site header","instance":"MESSAGES","retryable":false}`},
		{ask(request("POST", messages)), ``},
	} {
		if c.want == "" {
			if c.got.status != 202 {
				t.Errorf("without a fault: %d %s", c.got.status, c.got.body)
			}
			continue
		}
		checkGolden(t, c.got, id, c.want)
	}

	guarded := newHandler(t, admin.Config{Token: token})
	w := httptest.NewRecorder()
	guarded.ServeHTTP(w, request("GET", messages, authorization("Bearer x")))
	checkGolden(t, answer{w.Code, w.Header(), w.Body.String()}, id, `401 {"type":"/problems/unauthorized","title":"A token is needed","status":401,"detail":"the token is none of this node","instance":"MESSAGES","retryable":false}`)
}

// A brokenBody is a body that fails.
type brokenBody struct{ err error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }
func (b brokenBody) Close() error             { return nil }

// stuck shows a node with a connection that takes nothing more.
func stuck(t *testing.T) (*api, *node.Node, node.ID) {
	t.Helper()
	opts := lines()
	opts.MaxMessage = 16 << 20
	opts.OutputBytes = 1 << 30
	a, n := show(t, admin.Config{MaxMessage: 16 << 20}, opts)
	_, id := connect(t, n)
	a.expect("POST", "/api/v1/connections/"+id.String()+"/messages", long, 202, "")
	return a, n, id
}

func TestWaitForAnOutcomeOutlastsThatForTheBody(t *testing.T) {
	a, _, id := stuck(t)
	a.h.SetPatience(500 * time.Millisecond) // the body is there sooner, on a busy machine, too
	got := post(a, id, "?ack=written&timeout=1500ms", "x")
	if p := problemIn(t, got); got.status != 504 || !strings.Contains(p.Detail, context.DeadlineExceeded.Error()) {
		t.Errorf("%d %s; want the end of the time that was asked for", got.status, got.body)
	}
}

func TestSenderThatLeavesEndsItsWait(t *testing.T) {
	a, n, id := stuck(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+a.addr+"/api/v1/connections/"+id.String()+"/messages?ack=written&timeout=60s", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := a.client.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		if err == nil {
			resp.Body.Close()
		}
		t.Fatalf("a wait that cannot end: %v", err)
	}
	until(t, "the message to be taken back", func() bool {
		info, err := n.Describe(t.Context(), id)
		return err == nil && info.MessagesOut == 1
	})
}
