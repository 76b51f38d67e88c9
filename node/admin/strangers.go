package admin

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// strangersEvery is how often a kind of refusal is told of at level warn, at most:
// strangers decide how often there is one.
const strangersEvery = time.Minute

// strangers tell the operator of requests that the guard refuses, by problem, of
// which it has five.
type strangers struct {
	mu    sync.Mutex
	kinds map[string]*unsaid // guarded by mu
}

// unsaid is what was not said of one kind.
type unsaid struct {
	since time.Time // when it was last said
	count int
}

// say tells of one refusal: at level warn if none of its kind was told of for a
// while, else at level debug.
func (s *strangers) say(log *slog.Logger, now time.Time, r *http.Request, why error) {
	level, more := s.levelOf(why, now)
	log.Log(r.Context(), level, "request refused", "remote", r.RemoteAddr, "method", r.Method, "why", why, "more_since_last", more)
}

func (s *strangers) levelOf(why error, now time.Time) (level slog.Level, more int) {
	kind := ""
	if f := (*failure)(nil); errors.As(why, &f) {
		kind = f.slug
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.kinds[kind]
	if u != nil && now.Sub(u.since) < strangersEvery {
		u.count++
		return slog.LevelDebug, 0
	}
	if u == nil {
		u = &unsaid{}
		s.kinds[kind] = u
	}
	more = u.count
	u.since, u.count = now, 0
	return slog.LevelWarn, more
}
