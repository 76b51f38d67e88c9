package admin

import (
	"cmp"
	"embed"
	"net/http"
	"path"
)

// The dashboard is a page of static files that asks the API. It holds nothing that is
// secret, so who has no token may load it, and is asked for one by the page.
//
//go:embed ui
var dashboardFiles embed.FS

// dashboardPolicy lets the page load what this node serves and nothing else, neither
// a script nor a style inside of it. It connects to listeners for WebSockets, which
// have other ports, to be a client.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; " +
	"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// dashboardTypes are the types of its files.
var dashboardTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// toDashboard answers GET /ui.
func (h *Handler) toDashboard(w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	w.Header().Set("Location", "/ui/")
	w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

// dashboard answers GET /ui/ with the page, and GET /ui/{file} with what it is made of.
func (h *Handler) dashboard(w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	name := cmp.Or(r.PathValue("file"), "index.html")
	kind := dashboardTypes[path.Ext(name)]
	body, err := dashboardFiles.ReadFile("ui/" + name)
	if err != nil || kind == "" {
		return fail(problemNoSuchPath, "%.200q is no part of the dashboard", name)
	}
	w.Header().Set("Content-Security-Policy", dashboardPolicy)
	writeBody(w, http.StatusOK, kind, body)
	return nil
}
