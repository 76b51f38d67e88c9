package admin

import (
	"log/slog"
	"net/http"
	"time"
)

// Limits of a server, beside those of Handler.
const (
	headerTimeout = 5 * time.Second  // from connecting to the end of the headers
	idleTimeout   = 2 * time.Minute  // between two requests
	writeTimeout  = 2 * time.Minute  // from the headers to the end of the answer; over bodyTimeout + maxTimeout
	bodyTimeout   = 30 * time.Second // from the headers to the end of the body; set by Handler
	maxHeader     = 16 << 10         // bytes
)

// Server returns a server for h that bounds what a client can hold up. Whoever
// uses another one sets the same four limits; the time for a body is bounded by
// h itself, so that other handlers beside it can stream.
func Server(h *Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(h.logger.Handler(), slog.LevelWarn),
	}
}
