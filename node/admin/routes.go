package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"flamingo/idspace"
	"flamingo/node"
)

// resources returns everything that is answered. A path is no pattern with a
// method: which methods it has is said by resource, as a problem.
func (h *Handler) resources() []*resource {
	return append(append(h.groupResources(), h.overviewResources()...), []*resource{
		{h: h, path: "/livez", access: forEverybody, methods: map[string]action{"GET": h.livez}},
		{h: h, path: "/readyz", access: forEverybody, methods: map[string]action{"GET": h.readyz}},
		{h: h, path: "/problems/{slug}", access: forReaders, methods: map[string]action{"GET": h.help}},
		{h: h, path: "/api/v1/connections", access: forBearers, methods: map[string]action{"GET": h.withNode(h.list)}},
		{h: h, path: "/api/v1/connections/{id}", access: forBearers, methods: map[string]action{
			"GET":    h.withNode(h.describe),
			"DELETE": h.withNode(h.disconnect),
		}},
		{h: h, path: "/api/v1/connections/{id}/messages", access: forBearers, methods: map[string]action{"POST": h.withNode(h.send)}},
		{h: h, path: "/api/v1/nodes", access: forBearers, methods: map[string]action{"GET": h.withNode(h.nodes)}},
		{h: h, path: "/api/v1/drain", access: forBearers, writes: ScopeAdmin, methods: map[string]action{
			"GET":  h.withNode(h.showDrain),
			"POST": h.withNode(h.startDrain),
		}},
		{h: h, path: "/api/v1/nodes/{number}/retire", access: forBearers, writes: ScopeAdmin, methods: map[string]action{"POST": h.withNode(h.retire)}},
		{h: h, path: "/api/v1/messages", access: forBearers, methods: map[string]action{"POST": h.withNode(h.sendMany)}},
		{h: h, path: "/api/v1/connections/close", access: forBearers, methods: map[string]action{"POST": h.withNode(h.closeMany)}},
		{h: h, path: "/api/v1/config", access: forBearers, reads: ScopeAdmin, methods: map[string]action{"GET": h.config}},
		{h: h, path: gatewayPath, access: forBearers, methods: map[string]action{
			"POST":   h.asGateway(h.gatewaySend),
			"GET":    h.asGateway(h.gatewayShow),
			"DELETE": h.asGateway(h.gatewayClose),
		}},
		{h: h, path: "/openapi.yaml", access: forReaders, methods: map[string]action{"GET": h.document}},
		{h: h, path: "/debug/pprof/{$}", access: forBearers, reads: ScopeAdmin, methods: map[string]action{"GET": h.profiles}},
		{h: h, path: "/debug/pprof/{name}", access: forBearers, reads: ScopeAdmin, methods: map[string]action{"GET": h.profile}},
		{h: h, path: "/metrics", access: forBearers, methods: map[string]action{"GET": h.scrape}},
		{h: h, path: "/api/v1/stats", access: forBearers, methods: map[string]action{"GET": h.stats}},
		{h: h, path: "/api/v1/ids/{id}", access: forBearers, methods: map[string]action{"GET": h.withNode(h.decode)}},
	}...)
}

// An action answers a request, or returns why not before it has written
// anything.
type action func(w http.ResponseWriter, r *http.Request) error

// withNode returns an action that there is only with a node.
func (h *Handler) withNode(do func(n target, w http.ResponseWriter, r *http.Request) error) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		n, err := h.attached()
		if err != nil {
			return err
		}
		return do(n, w, r)
	}
}

// A resource is what one path names.
type resource struct {
	h       *Handler
	path    string // pattern of a ServeMux
	access  access
	methods map[string]action // GET answers HEAD too: the server drops the body

	// What a token must be good for: to look at it ScopeRead, and for everything else
	// ScopeSend, unless these say otherwise.
	reads, writes Scope
}

// scopeOf returns what a token must be good for.
func (res *resource) scopeOf(method string) Scope {
	if method == http.MethodGet || method == http.MethodHead {
		return cmp.Or(res.reads, ScopeRead)
	}
	return cmp.Or(res.writes, ScopeSend)
}

// ServeHTTP is called by the mux, for requests that the guard has let pass.
func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	do, ok := res.methods[method]
	if !ok {
		allow := strings.Join(res.allowed(), ", ")
		w.Header().Set("Allow", allow)
		res.h.refuse(w, r, fail(problemNoSuchMethod, "%.20q here; allowed is %s", r.Method, allow))
		return
	}
	if err := do(w, r); err != nil {
		res.h.refuse(w, r, err)
	}
}

func (res *resource) allowed() []string {
	methods := slices.Collect(maps.Keys(res.methods))
	if res.methods[http.MethodGet] != nil {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return methods
}

// idOf returns the id in the path.
func idOf(r *http.Request) (node.ID, error) { return idspace.ParseID(r.PathValue("id")) }

// parametersOf returns the parameters in the query, each of those allowed at
// most once. Any other is refused: a slip of the pen must not send what was
// meant to be looked at.
func parametersOf(r *http.Request, allowed ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fail(problemBadRequest, "query: %v", err)
	}
	for name, given := range values {
		switch {
		case !slices.Contains(allowed, name) && len(allowed) == 0:
			return nil, fail(problemBadRequest, "parameter %.40q: none is allowed here", name)
		case !slices.Contains(allowed, name):
			return nil, fail(problemBadRequest, "parameter %.40q: allowed is %s", name, strings.Join(allowed, ", "))
		case len(given) > 1:
			return nil, fail(problemBadRequest, "parameter %s is given %d times", name, len(given))
		}
	}
	return values, nil
}

// choice returns the value of a parameter that has few, of which the first is
// the default.
func choice(values url.Values, name string, among ...string) (string, error) {
	if !values.Has(name) {
		return among[0], nil
	}
	value := values.Get(name)
	if !slices.Contains(among, value) {
		return "", fail(problemBadRequest, "%s=%.40q: allowed is %s", name, value, strings.Join(slices.DeleteFunc(among, func(s string) bool { return s == "" }), " or "))
	}
	return value, nil
}

// writeJSON answers with v in JSON, a line of it.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	writeBody(w, status, "application/json", append(body, '\n'))
	return nil
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // who does not listen any more needs no answer
}
