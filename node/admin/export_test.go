package admin

import (
	"net/http"
	"strings"
	"time"
)

// OpenAPI is the document of the API.
var OpenAPI = openAPI

// A Target is what a Handler needs of a node.
type Target = target

// AttachTarget is Attach to something that acts as a node.
func (h *Handler) AttachTarget(t Target) { h.attach(t) }

// Unguarded returns what h would be without its guard.
func (h *Handler) Unguarded() http.Handler { return h.mux }

// Routes returns every method that is answered, with its path.
func (h *Handler) Routes() (routes []string) {
	for _, r := range h.resources() {
		for method := range r.methods {
			routes = append(routes, method+" "+strings.TrimSuffix(r.path, "{$}"))
		}
	}
	return routes
}

// SetNow gives h a clock of the test's own.
func (h *Handler) SetNow(now func() time.Time) { h.now = now }

// SetPatience sets how long h waits for a body.
func (h *Handler) SetPatience(d time.Duration) { h.patience = d }

// OccupyOthers makes as many scrapes and requests for many be under way as there can
// be. They do not end.
func (h *Handler) OccupyOthers() {
	for _, places := range []chan struct{}{h.bulk, h.scrapes} {
		for range cap(places) {
			places <- struct{}{}
		}
	}
}

// Occupy makes as many messages be under way as there can be. They end with
// the returned function.
func (h *Handler) Occupy() (release func()) {
	for range cap(h.sending) {
		h.sending <- struct{}{}
	}
	return func() {
		for range cap(h.sending) {
			<-h.sending
		}
	}
}

// Details is the body of an answer that is a problem.
type Details = details

// IsOurs reports whether a request for host is for a node that was told of
// hosts.
func IsOurs(host string, hosts ...string) bool { return newGuard(nil, hosts).isOurs(host) }

// DashboardFiles returns the names of what the dashboard is made of.
func DashboardFiles() (names []string) {
	entries, err := dashboardFiles.ReadDir("ui")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
