package port

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// noticeEvery is how often one reason is told of, at most: strangers decide
	// how often there is one.
	noticeEvery = time.Minute

	maxNotice = 300 // bytes of an error, of which a stranger may have written a part
)

// notices tell the operator of connections that are refused, each reason once in a
// while, and how many more there were.
type notices struct {
	mu     sync.Mutex
	last   [reasons]time.Time
	unsaid [reasons]int
}

func (n *notices) say(log *slog.Logger, what string, c net.Conn, why Reason, err error) {
	now := time.Now()
	n.mu.Lock()
	due := n.last[why].IsZero() || now.Sub(n.last[why]) >= noticeEvery
	unsaid := n.unsaid[why]
	if due {
		n.last[why], n.unsaid[why] = now, 0
	} else {
		n.unsaid[why]++
	}
	n.mu.Unlock()
	if !due {
		return
	}
	text := err.Error()
	log.Warn(what, "remote", c.RemoteAddr(), "reason", why.String(), "err", text[:min(len(text), maxNotice)], "more_since_last", unsaid)
}
