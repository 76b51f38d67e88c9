package consensus

import (
	"sync"
	"time"
)

// noticeEvery is how often one reason to refuse streams is told of, at most:
// strangers decide how often there is one.
const noticeEvery = time.Minute

// refusalNotices say which refusals the operator is told of: for each reason the
// first, and one in a while from then on.
type refusalNotices struct {
	mu   sync.Mutex
	last [refusals]struct {
		at    time.Time
		count uint64
	} // guarded by mu: what was told of
}

// due reports whether the refusal that is the count-th for its reason is to be told
// of, and how many were not since the last one that was.
func (n *refusalNotices) due(r Refusal, count uint64, now time.Time) (untold uint64, due bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := &n.last[min(r, refusals-1)]
	if count <= last.count || last.count > 0 && now.Sub(last.at) < noticeEvery {
		return 0, false // an earlier one may come later, from another goroutine
	}
	untold = count - last.count - 1
	last.at, last.count = now, count
	return untold, true
}
