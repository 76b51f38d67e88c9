package admin

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// apiFamilies are the families of the API itself, which are there before the node is.
var apiFamilies = []family{
	counts("api_requests_total", "Requests over HTTP, by the path that answers them and the status.", []string{"route", "method", "code"}, func(s *reading, sample sampler) {
		s.h.traffic.each(func(r request, n uint64) { sample(float64(n), r.route, r.method, strconv.Itoa(r.code)) })
	}),
	gauge("api_requests_in_flight", "Requests over HTTP that are under way, streams included.", func(s *reading) int64 { return s.h.traffic.under.Load() }),
	gauge("api_messages_in_flight", "Messages over HTTP that are being received or sent.", func(s *reading) int { return len(s.h.sending) }),
}

// traffic counts the requests that a Handler answers.
type traffic struct {
	under    atomic.Int64
	duration prometheus.Histogram

	mu       sync.Mutex
	requests map[request]uint64 // guarded by mu; as many as there are paths, methods and statuses
}

// A request is what requests are counted by.
type request struct {
	route  string // the path of a resource, "none" if none answers
	method string // "other" if nothing here answers to it
	code   int
}

func newTraffic() *traffic {
	return &traffic{
		requests: make(map[request]uint64),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "api_request_duration_seconds", Help: "How long requests over HTTP took, without streams.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
}

// each hands over the count of every kind of request, in order.
func (t *traffic) each(take func(r request, n uint64)) {
	t.mu.Lock()
	all := make(map[request]uint64, len(t.requests))
	maps.Copy(all, t.requests)
	t.mu.Unlock()
	order := slices.SortedFunc(maps.Keys(all), func(a, b request) int {
		return cmp.Or(cmp.Compare(a.route, b.route), cmp.Compare(a.method, b.method), cmp.Compare(a.code, b.code))
	})
	for _, r := range order {
		take(r, all[r])
	}
}

// begin counts a request; the function it returns is called when that is answered.
func (t *traffic) begin(w http.ResponseWriter, r *http.Request, res *resource) (_ http.ResponseWriter, done func()) {
	begun := time.Now()
	t.under.Add(1)
	counted := &countedWriter{ResponseWriter: w}
	return counted, func() {
		t.under.Add(-1)
		kind := request{"none", "other", cmp.Or(counted.status, http.StatusOK)}
		if res != nil {
			kind.route = res.path
		}
		if isMethod(r.Method) {
			kind.method = r.Method
		}
		t.mu.Lock()
		t.requests[kind]++
		t.mu.Unlock()
		if !counted.streams {
			t.duration.Observe(time.Since(begun).Seconds())
		}
	}
}

// isMethod reports whether something here answers to a method; what else there is
// strangers decide.
func isMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// A countedWriter knows the status of what it has answered.
type countedWriter struct {
	http.ResponseWriter
	status  int
	streams bool
}

// WriteHeader implements http.ResponseWriter.
func (w *countedWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// streams notes that what is answered lasts as long as somebody reads it.
func streams(w http.ResponseWriter) {
	if c, ok := w.(*countedWriter); ok {
		c.streams = true
	}
}
