package admin

import (
	"net/http"
	"net/url"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Profiles of the process, as go tool pprof asks for them. Package net/http/pprof is
// not used: to import it shows them at http.DefaultServeMux of the program, too,
// without a guard.

const (
	defaultProfile = 30 * time.Second // of profile and trace
	maxProfile     = time.Minute      // within writeTimeout
)

// timedProfiles are those that are taken for a while, one at a time.
var timedProfiles = map[string]struct {
	start func(w http.ResponseWriter) error
	stop  func()
}{
	"profile": {func(w http.ResponseWriter) error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile},
	"trace":   {func(w http.ResponseWriter) error { return trace.Start(w) }, trace.Stop},
}

// profiles answers GET /debug/pprof/: which there are.
func (h *Handler) profiles(w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	writeBody(w, http.StatusOK, "text/plain; charset=utf-8", []byte(strings.Join(profileNames(), "\n")+"\n"))
	return nil
}

func profileNames() []string {
	names := []string{"profile", "trace"}
	for _, p := range pprof.Profiles() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	return names
}

// profile answers GET /debug/pprof/{name}.
func (h *Handler) profile(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if _, timed := timedProfiles[name]; timed {
		return takeProfile(name, w, r)
	}
	p := pprof.Lookup(name)
	if p == nil {
		return fail(problemNoSuchPath, "%.40q is no profile: there are %s", name, strings.Join(profileNames(), ", "))
	}
	values, err := parametersOf(r, "debug", "gc")
	if err != nil {
		return err
	}
	debug, err := choice(values, "debug", "0", "1", "2")
	if err != nil {
		return err
	}
	gc, err := choice(values, "gc", "0", "1")
	if err != nil {
		return err
	}
	if gc == "1" {
		runtime.GC()
	}
	kind := "application/octet-stream"
	if debug != "0" {
		kind = "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	level, _ := strconv.Atoi(debug)
	_ = p.WriteTo(w, level) // who does not listen any more needs no answer
	return nil
}

// takeProfile answers with what happens from now on, until the time is over or
// nobody listens any more.
func takeProfile(name string, w http.ResponseWriter, r *http.Request) error {
	values, err := parametersOf(r, "seconds")
	if err != nil {
		return err
	}
	within, err := profileTime(values)
	if err != nil {
		return err
	}
	streams(w)
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := timedProfiles[name].start(w); err != nil {
		return fail(problemBusy, "%s: %v", name, err)
	}
	defer timedProfiles[name].stop()
	over := time.NewTimer(within)
	defer over.Stop()
	select {
	case <-over.C:
	case <-r.Context().Done():
	}
	return nil
}

// profileTime returns for how long a profile is taken.
func profileTime(values url.Values) (time.Duration, error) {
	if !values.Has("seconds") {
		return defaultProfile, nil
	}
	n, err := strconv.Atoi(values.Get("seconds"))
	if err != nil || n < 1 || time.Duration(n)*time.Second > maxProfile {
		return 0, fail(problemBadRequest, "seconds=%.40q: allowed is 1 to %d", values.Get("seconds"), int(maxProfile.Seconds()))
	}
	return time.Duration(n) * time.Second, nil
}
