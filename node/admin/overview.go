package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"flamingo/idspace"
	"flamingo/node"
)

const (
	// overviewEvery is the time between two lines of what follows the overview, and
	// how long one serves everybody who asks: however many look at a node, it asks
	// the others once in that time.
	overviewEvery = time.Second

	// maxFollowers bounds those who follow the overview of one node.
	maxFollowers = 32
)

// overseeing is what a Handler needs of a node to show all nodes of its cluster.
type overseeing interface {
	Loads(ctx context.Context) ([]node.Load, []*node.NodeError, error)
	StartDrainOf(ctx context.Context, number node.NodeNumber, plan *node.DrainPlan) error
}

// overviewResources are what all nodes of the cluster are seen by, and the dashboard,
// which shows it.
func (h *Handler) overviewResources() []*resource {
	return []*resource{
		{h: h, path: "/api/v1/overview", access: forBearers, methods: map[string]action{"GET": h.withNode(h.overview)}},
		{h: h, path: "/api/v1/nodes/{number}/drain", access: forBearers, writes: ScopeAdmin, methods: map[string]action{"POST": h.withNode(h.startDrainOf)}},
		{h: h, path: "/ui", access: forReaders, methods: map[string]action{"GET": h.toDashboard}},
		{h: h, path: "/ui/{$}", access: forReaders, methods: map[string]action{"GET": h.dashboard}},
		{h: h, path: "/ui/{file}", access: forReaders, methods: map[string]action{"GET": h.dashboard}},
	}
}

// An overview is what all nodes do at one moment.
type overview struct {
	At      string       `json:"at"`
	Members []member     `json:"members"`           // as in /api/v1/nodes
	Loads   []node.Load  `json:"loads"`             // of those that answered, by number
	Missing []failedNode `json:"missing,omitempty"` // those that did not
}

// overviews keeps the newest overview, for everybody who asks within overviewEvery.
type overviews struct {
	following chan struct{} // a token for each that follows; never closed

	mu    sync.Mutex // held while the nodes are asked, at most 0.9 s
	of    target     // guarded by mu: whose it is
	until time.Time  // guarded by mu
	line  []byte     // guarded by mu; not changed
}

// newest returns an overview, a line of JSON, which is at most a second old.
func (h *Handler) newest(ctx context.Context, n target) ([]byte, error) {
	o := &h.overviews
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == n && h.now().Before(o.until) {
		return o.line, nil
	}
	loads, missing, err := n.Loads(context.WithoutCancel(ctx)) // for the others who ask, too
	if err != nil {
		return nil, err
	}
	now := h.now()
	line, err := json.Marshal(overview{instant(now), members(n), loads, failedNodes(missing)})
	if err != nil {
		return nil, err
	}
	// A little less, so that who asks every second has a new one each time.
	o.of, o.until, o.line = n, now.Add(overviewEvery*8/10), append(line, '\n')
	return o.line, nil
}

// overview answers GET /api/v1/overview: what all nodes do, and with follow=true a
// line of that every second, until the node is closed or nobody takes them any more.
func (h *Handler) overview(n target, w http.ResponseWriter, r *http.Request) error {
	values, err := parametersOf(r, "follow")
	if err != nil {
		return err
	}
	follow, err := choice(values, "follow", "false", "true")
	if err != nil {
		return err
	}
	line, err := h.newest(r.Context(), n)
	if err != nil {
		return err
	}
	if follow == "false" {
		writeBody(w, http.StatusOK, "application/json", line)
		return nil
	}
	select {
	case h.overviews.following <- struct{}{}:
	default:
		return fail(problemBusy, "%d follow the overview of this node, as many as may", maxFollowers)
	}
	defer func() { <-h.overviews.following }()
	streams(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	h.followOverview(n, w, r, line)
	return nil
}

// followOverview writes lines, the first of which is given.
func (h *Handler) followOverview(n target, w http.ResponseWriter, r *http.Request, line []byte) {
	control := http.NewResponseController(w)
	tick := time.NewTicker(overviewEvery)
	defer tick.Stop()
	for {
		_ = control.SetWriteDeadline(time.Now().Add(followPatience)) // not every server can
		if _, err := w.Write(line); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
		var err error
		if line, err = h.newest(r.Context(), n); err != nil || n.Closing() {
			return
		}
	}
}

// startDrainOf answers POST /api/v1/nodes/{number}/drain: any node of the cluster is
// taken out of service.
func (h *Handler) startDrainOf(n target, w http.ResponseWriter, r *http.Request) error {
	number, err := idspace.ParseNodeNumber(r.PathValue("number"))
	if err != nil {
		return fail(problemBadRequest, "node number: %v; allowed are nine hexadecimal digits, such as 01adc9000", err)
	}
	values, err := parametersOf(r, "wait", "duration")
	if err != nil {
		return err
	}
	var plan *node.DrainPlan // nil: that node's own
	if values.Has("wait") || values.Has("duration") {
		if !values.Has("wait") || !values.Has("duration") {
			return fail(problemBadRequest, "wait and duration are given both or neither: what is left out is not known here")
		}
		plan = &node.DrainPlan{}
		if err := drainTime(values, "wait", &plan.Wait); err != nil {
			return err
		}
		if err := drainTime(values, "duration", &plan.Duration); err != nil {
			return err
		}
	}
	if err := n.StartDrainOf(r.Context(), number, plan); err != nil {
		return err
	}
	h.logger.Info("asked to have a node drain", "number", number, "remote", r.RemoteAddr)
	w.WriteHeader(http.StatusAccepted)
	return nil
}
