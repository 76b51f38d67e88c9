package admin

import (
	"net/http"

	"flamingo/node"
)

// livez answers GET /livez: the process answers. It says nothing of the node, so
// that nobody restarts one that only waits for others.
func (h *Handler) livez(w http.ResponseWriter, _ *http.Request) error {
	writeBody(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
	return nil
}

// readiness is what /readyz?verbose says.
type readiness struct {
	Ready  bool    `json:"ready"`
	Checks []check `json:"checks"`
}

// A check is one condition of being ready.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // why not
}

func (c *check) unless(fault bool, reason string) {
	if c.OK = !fault; fault {
		c.Reason = reason
	}
}

// readyz answers GET /readyz: the node has its number and its listeners, does
// not close, and does not drain. Nothing here asks for a quorum: without
// one a node serves its clients as before.
func (h *Handler) readyz(w http.ResponseWriter, r *http.Request) error {
	now := h.readiness()
	status := http.StatusOK
	if !now.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter)
	}
	if r.URL.Query().Has("verbose") {
		return writeJSON(w, status, now)
	}
	text := "ok"
	for _, c := range now.Checks {
		if !c.OK {
			text = c.Reason
		}
	}
	writeBody(w, status, "text/plain; charset=utf-8", []byte(text+"\n"))
	return nil
}

// readiness returns the checks, the most telling fault last.
func (h *Handler) readiness() readiness {
	h.mu.Lock()
	n, waiting := h.node, h.waiting
	h.mu.Unlock()
	number, open, serving := check{Name: "number"}, check{Name: "open"}, check{Name: "serving"}
	number.unless(n == nil, waiting)
	serving.unless(n != nil && n.DrainProgress().Phase != node.DrainNone, "draining")
	open.unless(n != nil && n.Closing(), "closed")
	return readiness{
		Ready:  number.OK && open.OK && serving.OK,
		Checks: []check{number, serving, open},
	}
}
