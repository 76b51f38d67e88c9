package consensus

import (
	"context"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// hclogger gives raft's messages to slog, one level lower: to raft a peer that
// ends, or an election without a winner, is an error or a warning; to an operator
// both are everyday, and what is not, such as a store that failed, this package
// says itself. Its names become the attribute "part", its trace level is dropped.
type hclogger struct {
	hclog.Logger // answers whatever is not overridden, with nothing

	to      *slog.Logger
	name    string
	implied []any
}

func newHclog(to *slog.Logger) hclog.Logger {
	return &hclogger{Logger: hclog.NewNullLogger(), to: to}
}

func slogLevel(l hclog.Level) (slog.Level, bool) {
	switch l {
	case hclog.Debug, hclog.Info:
		return slog.LevelDebug, true
	case hclog.Warn:
		return slog.LevelInfo, true
	case hclog.Error:
		return slog.LevelWarn, true
	case hclog.NoLevel, hclog.Trace, hclog.Off:
	}
	return 0, false
}

func (h *hclogger) Log(l hclog.Level, msg string, args ...any) {
	if level, ok := slogLevel(l); ok {
		h.to.Log(context.Background(), level, "raft: "+msg, args...)
	}
}

func (h *hclogger) Debug(msg string, args ...any) { h.Log(hclog.Debug, msg, args...) }
func (h *hclogger) Info(msg string, args ...any)  { h.Log(hclog.Info, msg, args...) }
func (h *hclogger) Warn(msg string, args ...any)  { h.Log(hclog.Warn, msg, args...) }
func (h *hclogger) Error(msg string, args ...any) { h.Log(hclog.Error, msg, args...) }

func (h *hclogger) enabled(l hclog.Level) bool {
	level, ok := slogLevel(l)
	return ok && h.to.Enabled(context.Background(), level)
}

func (h *hclogger) IsDebug() bool { return h.enabled(hclog.Debug) }
func (h *hclogger) IsInfo() bool  { return h.enabled(hclog.Info) }
func (h *hclogger) IsWarn() bool  { return h.enabled(hclog.Warn) }
func (h *hclogger) IsError() bool { return h.enabled(hclog.Error) }

func (h *hclogger) ImpliedArgs() []any { return h.implied }

func (h *hclogger) With(args ...any) hclog.Logger {
	c := *h
	c.to = h.to.With(args...)
	c.implied = append(h.implied[:len(h.implied):len(h.implied)], args...)
	return &c
}

func (h *hclogger) Name() string { return h.name }

func (h *hclogger) Named(name string) hclog.Logger {
	if h.name != "" {
		name = h.name + "." + name
	}
	return h.ResetNamed(name)
}

func (h *hclogger) ResetNamed(name string) hclog.Logger {
	c := *h
	c.name, c.to = name, h.to.With("part", name)
	return &c
}
