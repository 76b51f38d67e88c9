package attach_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
	"flamingo/node/attach"
)

const secret = "the secret of both"

// A posted is what a hook has posted.
type posted struct {
	at     time.Time
	header http.Header
	raw    string
	body   struct {
		Delivery string
		Events   []frame
	}
}

// A site answers what is posted to it.
type site struct {
	t      *testing.T
	posts  chan posted
	answer func(posted) (status int, header http.Header, body string, err error)
}

// RoundTrip is the network between a hook and a site.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p := posted{at: time.Now(), header: r.Header, raw: string(raw)}
	if err := json.Unmarshal(raw, &p.body); err != nil {
		s.t.Errorf("posted %q: %v", raw, err)
	}
	s.posts <- p
	status, header, body, err := s.answer(p)
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// inHook runs f with a server that posts to a site, in one lane.
func inHook(t *testing.T, adjust func(*attach.Webhook), answer func(posted) (int, http.Header, string, error), f func(*testing.T, *rig, *site)) {
	t.Helper()
	s := &site{t: t, answer: answer}
	inRig(t, func(c *attach.Config) {
		s.posts = make(chan posted, 1000) // of the bubble
		c.Webhook = &attach.Webhook{URL: "http://site.example/hook", Secret: []byte(secret), Lanes: 1, Transport: s}
		if adjust != nil {
			adjust(c.Webhook)
		}
	}, func(t *testing.T, r *rig) {
		synctest.Wait()
		f(t, r, s)
	})
}

// replies answers each message with a send in one answer.
func replies(p posted) (int, http.Header, string, error) {
	var actions []frame
	for _, e := range p.body.Events {
		if e["type"] == "data" {
			actions = append(actions, frame{"do": "send", "id": e["id"], "text": fmt.Sprint("re: ", e["text"])})
		}
	}
	body, err := json.Marshal(frame{"actions": actions})
	return http.StatusOK, nil, string(body), err
}

func TestAnswerOfAWebhookIsDone(t *testing.T) {
	inHook(t, nil, replies, func(t *testing.T, r *rig, s *site) {
		r.tell(opened(1), said(1, "a"), said(1, "b"), over(1))
		synctest.Wait()
		p := <-s.posts
		var types []any
		for _, e := range p.body.Events {
			types = append(types, e["type"])
		}
		if got := fmt.Sprint(types); got != "[open data data closed]" || p.header.Get("Flamingo-Attempt") != "1" || p.header.Get("Content-Type") != "application/json" {
			t.Errorf("posted %s with %v", got, p.header)
		}
		want := []string{"send " + conn(1).String() + " 0 re: a", "send " + conn(1).String() + " 0 re: b"}
		if got := r.deeds(); !slices.Equal(got, want) {
			t.Errorf("done %q, want %q", got, want)
		}
		if st := r.server.Stats(); st.Acknowledged != 4 || st.Posts != 1 || st.PostsFailed != 0 || st.Sticky != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// What was posted is signed, with the time, as docs/webhooks.md says.
func TestPostsAreSigned(t *testing.T) {
	inHook(t, nil, replies, func(t *testing.T, r *rig, s *site) {
		r.tell(opened(1))
		p := <-s.posts
		stamp, given, _ := strings.Cut(strings.TrimPrefix(p.header.Get("Flamingo-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%s.%s", stamp, p.raw)
		if stamp != fmt.Sprint(p.at.Unix()) || given != hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("signature %q of %q at %d", p.header.Get("Flamingo-Signature"), p.raw, p.at.Unix())
		}
	})
}

// A batch is posted until it is taken, the same to the last byte, with pauses that grow,
// and nothing behind it goes before it; nothing is done by an answer that is no success.
func TestWebhookIsTriedUntilItSucceeds(t *testing.T) {
	const failures = 14
	tries := 0
	answer := func(p posted) (int, http.Header, string, error) {
		switch tries++; {
		case tries > failures:
			return replies(p)
		case tries%4 == 0:
			return 0, nil, "", errors.New("no network")
		case tries%4 == 1:
			return 500, nil, `{"actions":[{"do":"send","id":"` + conn(1).String() + `","text":"not to be sent"}]}`, nil
		case tries%4 == 2:
			return 302, http.Header{"Location": {"http://elsewhere.example/"}}, "", nil
		default:
			return 200, nil, `{"actions":[{"do":"send","id":"` + conn(1).String() + `","text":"not to be sent"},{"do":"dance"}]}`, nil
		}
	}
	inHook(t, nil, answer, func(t *testing.T, r *rig, s *site) {
		r.tell(said(1, "a"))
		synctest.Wait()
		r.tell(said(1, "b"), said(2, "c")) // wait behind it
		first := <-s.posts
		last, pause := first, time.Duration(0)
		for k := range failures {
			p := <-s.posts
			if p.raw != first.raw || p.header.Get("Flamingo-Delivery") != first.header.Get("Flamingo-Delivery") {
				t.Fatalf("attempt %d posts %s, the first %s", k+2, p.raw, first.raw)
			}
			if got := p.header.Get("Flamingo-Attempt"); got != fmt.Sprint(k+2) {
				t.Errorf("attempt %s, want %d", got, k+2)
			}
			pause = p.at.Sub(last.at)
			if least, most := min(100*time.Millisecond<<k, 30*time.Second)/2, min(100*time.Millisecond<<k, 30*time.Second); pause < least || pause > most {
				t.Errorf("pause %d of %v, want %v to %v", k+1, pause, least, most)
			}
			last = p
		}
		next := <-s.posts
		if len(next.body.Events) != 2 || next.body.Delivery == first.body.Delivery {
			t.Errorf("then %s, want both others", next.raw)
		}
		synctest.Wait()
		want := []string{"send " + conn(1).String() + " 0 re: a", "send " + conn(1).String() + " 0 re: b", "send " + conn(2).String() + " 0 re: c"}
		if got := r.deeds(); !slices.Equal(got, want) {
			t.Errorf("done %q, want %q", got, want)
		}
		if st := r.server.Stats(); st.Posts != failures+2 || st.PostsFailed != failures {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestWebhookHeedsRetryAfter(t *testing.T) {
	tries := 0
	answer := func(p posted) (int, http.Header, string, error) {
		if tries++; tries == 1 {
			return 429, http.Header{"Retry-After": {"17"}}, "", nil
		}
		if tries == 2 {
			return 503, http.Header{"Retry-After": {"86400"}}, "", nil
		}
		return 204, nil, "", nil
	}
	inHook(t, nil, answer, func(t *testing.T, r *rig, s *site) {
		r.tell(opened(1))
		first, second, third := <-s.posts, <-s.posts, <-s.posts
		if a, b := second.at.Sub(first.at), third.at.Sub(second.at); a != 17*time.Second || b != time.Minute {
			t.Errorf("pauses %v and %v, want 17s and the bound of 1m", a, b)
		}
	})
}

// A site that does not answer is given up after the time for an attempt, and tried again.
func TestWebhookOfASilentSiteIsTriedAgain(t *testing.T) {
	s := &silentSite{}
	inRig(t, func(c *attach.Config) {
		s.posts = make(chan time.Time, 100)
		c.Webhook = &attach.Webhook{URL: "https://site.example", Secret: []byte(secret), Lanes: 1, Timeout: 3 * time.Second, Transport: s}
	}, func(t *testing.T, r *rig) {
		synctest.Wait()
		r.tell(opened(1))
		first, second := <-s.posts, <-s.posts
		if d := second.Sub(first); d < 3*time.Second || d > 3*time.Second+200*time.Millisecond {
			t.Errorf("tried again after %v, want a little over 3s", d)
		}
	})
}

type silentSite struct{ posts chan time.Time }

func (s *silentSite) RoundTrip(r *http.Request) (*http.Response, error) {
	s.posts <- time.Now()
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestWebhookPostsWhatIsWanted(t *testing.T) {
	only := func(w *attach.Webhook) { w.Events, w.Batch = []node.EventType{node.EventMessage}, 2 }
	inHook(t, only, replies, func(t *testing.T, r *rig, s *site) {
		r.tell(opened(1), opened(2), said(1, "a"), said(1, "b"), said(1, "c"), over(1))
		synctest.Wait()
		if len(s.posts) != 2 {
			t.Fatalf("%d posts, want 2: of two messages, and of one", len(s.posts))
		}
		if p := <-s.posts; len(p.body.Events) != 2 {
			t.Errorf("posted %s", p.raw)
		}
		if st := r.server.Stats(); st.Acknowledged != 6 {
			t.Errorf("stats %+v", st)
		}
	})
}

// Lanes post beside each other, and each connection is in one.
func TestLanesOfAWebhookPostBesideEachOther(t *testing.T) {
	lanes := func(w *attach.Webhook) { w.Lanes = 4 }
	slow := func(p posted) (int, http.Header, string, error) {
		<-time.After(time.Second)
		return replies(p)
	}
	inHook(t, lanes, slow, func(t *testing.T, r *rig, s *site) {
		for k := range 40 {
			r.tell(opened(k), said(k, "0"), said(k, "1"), said(k, "2"))
		}
		synctest.Wait()
		if len(s.posts) != 4 {
			t.Errorf("%d posts at the same time, want 4", len(s.posts))
		}
		<-time.After(10 * time.Second)
		next := map[string]int{}
		for _, deed := range r.deeds() {
			var id string
			var kind, seq int
			if _, err := fmt.Sscanf(deed, "send %s %d re: %d", &id, &kind, &seq); err != nil || seq != next[id] {
				t.Errorf("did %q, want %d", deed, next[id])
			}
			next[id]++
		}
		if len(next) != 40 {
			t.Errorf("%d connections answered, want 40", len(next))
		}
	})
}

func TestSettingsOfAWebhookAreChecked(t *testing.T) {
	_, err := attach.New(attach.Config{Node: newFake(), Webhook: &attach.Webhook{
		URL: "ftp://x", Secret: []byte("short"), Batch: 1001, Lanes: -1, Timeout: -1, Events: []node.EventType{9},
	}})
	for _, want := range []string{`Webhook.URL "ftp://x"`, "Webhook.Secret of 5 bytes", "Webhook.Batch 1001", "Webhook.Lanes -1", "Webhook.Timeout -1ns", "Webhook.Events 9"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "short") {
		t.Errorf("%v tells the secret", err)
	}
}

// A real client of a real node, whose application is a site.
func TestSiteIsTheApplication(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p posted
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(raw, &p.body)
		}
		if err != nil {
			t.Errorf("posted %q: %v", raw, err)
		}
		_, _, body, _ := replies(p)
		_, _ = io.WriteString(w, body)
	}))
	defer web.Close()
	n, err := node.Open(node.Opts{Listen: []string{"tcp://127.0.0.1:0"}, Framing: "line", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	s, err := attach.New(attach.Config{
		Node: n, Logger: slog.New(slog.DiscardHandler),
		Webhook: &attach.Webhook{URL: web.URL, Secret: []byte(secret), Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	c := connect(t, n)
	c.say("hello\n")
	c.expect("re: hello")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}
