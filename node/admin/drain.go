package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"flamingo/node"
)

const (
	// followEvery is the time between two lines of what follows a drain.
	followEvery = 500 * time.Millisecond

	// followPatience is how long who follows may take for one of them.
	followPatience = 10 * time.Second
)

// drainProgress is a drain as it is shown.
type drainProgress struct {
	Phase    node.DrainPhase `json:"phase"`
	Wait     int64           `json:"wait_ms"`
	Duration int64           `json:"duration_ms"`
	Began    string          `json:"began_at,omitempty"`
	Ending   string          `json:"ending_at,omitempty"`
	Departed int             `json:"departed"`
	Left     int             `json:"left"`
}

func shownDrain(n target) drainProgress {
	p := n.DrainProgress()
	d := drainProgress{
		Phase: p.Phase, Wait: p.Plan.Wait.Milliseconds(), Duration: p.Plan.Duration.Milliseconds(),
		Departed: p.Departed, Left: p.Left,
	}
	if !p.Began.IsZero() {
		d.Began = instant(p.Began)
	}
	if !p.Ending.IsZero() {
		d.Ending = instant(p.Ending)
	}
	return d
}

// startDrain answers POST /api/v1/drain: this node is taken out of service.
func (h *Handler) startDrain(n target, w http.ResponseWriter, r *http.Request) error {
	values, err := parametersOf(r, "wait", "duration")
	if err != nil {
		return err
	}
	plan := n.DrainDefault()
	if err := drainTime(values, "wait", &plan.Wait); err != nil {
		return err
	}
	if err := drainTime(values, "duration", &plan.Duration); err != nil {
		return err
	}
	if err := n.StartDrain(plan); err != nil {
		return err
	}
	h.logger.Info("asked to drain", "remote", r.RemoteAddr)
	return writeJSON(w, http.StatusAccepted, shownDrain(n))
}

// drainTime reads a time of the plan, if it is given. Its range the node knows.
func drainTime(values url.Values, name string, into *time.Duration) (err error) {
	if !values.Has(name) {
		return nil
	}
	if *into, err = time.ParseDuration(values.Get(name)); err != nil {
		return fail(problemBadRequest, "%s=%.40q: allowed is a time such as 5s or 2m, up to 24h", name, values.Get(name))
	}
	return nil
}

// showDrain answers GET /api/v1/drain: how far the drain is, and with follow=true
// a line of that again and again until it is over.
func (h *Handler) showDrain(n target, w http.ResponseWriter, r *http.Request) error {
	values, err := parametersOf(r, "follow")
	if err != nil {
		return err
	}
	follow, err := choice(values, "follow", "false", "true")
	if err != nil {
		return err
	}
	if follow == "false" {
		return writeJSON(w, http.StatusOK, shownDrain(n))
	}
	streams(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	followDrain(n, w, r)
	return nil
}

// followDrain writes lines until the drain is over, which the last one says, or
// nobody takes them any more.
func followDrain(n target, w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		_ = control.SetWriteDeadline(time.Now().Add(followPatience)) // not every server can
		p := shownDrain(n)
		if json.NewEncoder(w).Encode(p) != nil || control.Flush() != nil || p.Phase == node.DrainOver {
			return
		}
		select {
		case <-tick.C:
		case <-n.Drained():
		case <-r.Context().Done():
			return
		}
	}
}
