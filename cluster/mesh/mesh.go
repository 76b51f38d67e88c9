package mesh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/idspace"
)

// A Mesh holds the links of one node. Its methods are safe for concurrent use.
// Before Run is called and after it was told to end, sends answer ErrClosed
// and streams are closed unread.
type Mesh struct {
	cfg       Config // immutable
	boot      idspace.BootID
	epoch     time.Time
	deadTicks int // DeadAfter in ticks of PingEvery
	idleTicks int // IdleTimeout in the same

	sessionTicks int // SessionTimeout in the same

	// What this end speaks: MinVersion, MaxVersion and allFeatures, but in tests.
	min, max uint64
	features features

	// What tests set, to see that the defence is what keeps harm away: trusting
	// leaves out the comparison of boots in a handshake, doubling forgets which
	// frames of a session were taken, forgetful every session.
	trusting, doubling, forgetful bool

	mute bool // set by tests too: no notice of pressure is taken back

	started  chan struct{} // closed by Run
	reports  *reports
	counters reasonCounters // of all streams and attempts
	late     atomic.Uint64  // outcomes that came when their session was over

	notices   notices   // of pressure, told to peers
	pressures pressures // of peers

	forgotten atomic.Uint64 // sessions that ended for want of room or time
	attempts  atomic.Uint64 // hellos sent

	links      atomic.Pointer[map[idspace.BootID]*link] // replaced, under mu
	inbound    atomic.Int64                             // streams taken from peers
	handshakes atomic.Int64                             // of those, not done with their handshake

	mu      sync.Mutex
	running bool
	begun   bool
	ctx     context.Context // of Run
	wg      sync.WaitGroup  // Add under mu, while running

	inMu     sync.Mutex
	in       map[idspace.BootID]*inPeer
	sessions map[sessionKey]*inLane
	leaves   uint64 // how often a session has lost its stream
}

// New returns a Mesh. It opens nothing and starts no goroutine. The error
// joins every fault of cfg and matches ErrBadConfig.
func New(cfg Config) (*Mesh, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	cfg = cfg.withDefaults()
	m := &Mesh{
		cfg:       cfg,
		boot:      cfg.Identity.Boot(),
		epoch:     cfg.Now(),
		deadTicks: int((cfg.DeadAfter + cfg.PingEvery - 1) / cfg.PingEvery),
		idleTicks: int((cfg.IdleTimeout + cfg.PingEvery - 1) / cfg.PingEvery),

		min: MinVersion, max: MaxVersion, features: allFeatures,
		sessionTicks: int((cfg.SessionTimeout + cfg.PingEvery - 1) / cfg.PingEvery),
		started:      make(chan struct{}),
		sessions:     make(map[sessionKey]*inLane),
		reports:      newReports(cfg.Reports),
		in:           make(map[idspace.BootID]*inPeer),
	}
	m.links.Store(&map[idspace.BootID]*link{})
	return m, nil
}

// errBegun: Run was called before.
var errBegun = errors.New("mesh: run was called before")

// Run keeps the links until ctx is done. Then it ends every send with its
// outcome, reports what is to be reported, and returns nil once every
// goroutine has ended. It is called once.
func (m *Mesh) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	if m.begun {
		m.mu.Unlock()
		return errBegun
	}
	m.begun, m.running, m.ctx = true, true, ctx
	m.mu.Unlock()
	close(m.started)

	var reporter sync.WaitGroup
	reporter.Go(func() { m.reports.run(m.cfg.Undelivered) })
	m.keepTime(ctx)

	m.mu.Lock()
	m.running = false
	m.mu.Unlock()
	for _, l := range *m.links.Load() {
		l.shut(ErrClosed)
	}
	m.wg.Wait()
	m.forgetAll()
	for _, l := range *m.links.Load() {
		l.fail(OutcomeClosed) // what was queued for a goroutine that did not start any more
	}
	m.reports.stop() // after the last send has its outcome
	reporter.Wait()
	return nil
}

// Started returns a channel that is closed once Run has begun, from when on
// sends and streams are accepted.
func (m *Mesh) Started() <-chan struct{} { return m.started }

// keepTime ticks until ctx is done. Silence and idleness are counted in ticks,
// not measured by the clock, so that a process which was stopped for a while
// does not find all its peers dead.
func (m *Mesh) keepTime(ctx context.Context) {
	ticker := time.NewTicker(m.cfg.PingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, l := range *m.links.Load() {
				l.tick()
			}
			m.tickInbound()
			m.tickSessions()
		}
	}
}

// clock returns how long this mesh has been there, in nanoseconds from 1 on.
func (m *Mesh) clock() int64 { return int64(max(m.cfg.Now().Sub(m.epoch), 0)) + 1 }

// spawn runs f in a goroutine that Run waits for. It reports false when Run
// does not run, or is ending.
func (m *Mesh) spawn(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running {
		return false
	}
	m.wg.Go(f)
	return true
}

// linkTo returns the link to peer, a new one if need be.
func (m *Mesh) linkTo(peer idspace.BootID) (*link, error) {
	if l := (*m.links.Load())[peer]; l != nil {
		return l, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running {
		return nil, ErrClosed
	}
	if peer.IsZero() || peer == m.boot {
		return nil, ErrBadPeer
	}
	links := *m.links.Load()
	if l := links[peer]; l != nil {
		return l, nil
	}
	links = maps.Clone(links)
	if len(links) >= m.cfg.MaxPeers && !evict(links) {
		return nil, ErrUnreachable
	}
	l := newLink(m, peer)
	links[peer] = l
	m.links.Store(&links)
	return l, nil
}

// evict removes a link that has no goroutine, and gets none any more. To a send
// that has it at hand already, the peer is unreachable.
func evict(links map[idspace.BootID]*link) bool {
	for peer, l := range links {
		if l.retire() {
			delete(links, peer)
			return true
		}
	}
	return false
}

// PeerGone says that the life of peer is over: what was not handed to the
// network ends as gone, the rest as uncertain, and further sends are refused
// with ErrGone while the peer is remembered. It returns when no frame of the
// streams there were is taken or sent any more; no goroutine of the mesh, which
// it waits for, may call it.
func (m *Mesh) PeerGone(peer idspace.BootID) {
	if l := (*m.links.Load())[peer]; l != nil {
		l.drop()
	}
	m.inMu.Lock()
	p := m.in[peer]
	m.inMu.Unlock()
	if p != nil {
		streams := p.list(m)
		for _, s := range streams {
			s.end(ReasonGone)
		}
		for _, s := range streams {
			<-s.done
		}
	}
	m.forgetPeer(peer)
}

// Contact reports whether a stream between this node and peer is open, whichever
// end has dialled it.
func (m *Mesh) Contact(peer idspace.BootID) bool {
	if m.Up(peer) {
		return true
	}
	m.inMu.Lock()
	defer m.inMu.Unlock()
	return m.in[peer] != nil
}

// Announce tells this node's numbers to every peer with a control stream.
// Others learn them in their next handshake.
func (m *Mesh) Announce() {
	for _, l := range *m.links.Load() {
		l.control.mu.Lock()
		box := l.control.box
		l.control.mu.Unlock()
		if box != nil {
			m.announceTo(box, 0)
		}
	}
	for _, box := range m.inboundControls() {
		m.announceTo(box, 0)
	}
}

// announceTo tells the numbers but the newest skip, which a handshake tells.
func (m *Mesh) announceTo(box *outbox, skip int) {
	numbers := m.cfg.Identity.Numbers()
	numbers = numbers[:max(len(numbers)-skip, 0)]
	last := m.cfg.Identity.Last()
	for first := skip == 0; first || len(numbers) > 0; first = false {
		some := numbers[max(len(numbers)-maxNumbers, 0):] // the newest first
		box.put(func(e *encoder) { e.numbers(last, some) })
		numbers = numbers[:len(numbers)-len(some)]
	}
}

// hearNumbers takes a frame of numbers from peer.
func (m *Mesh) hearNumbers(peer idspace.BootID, f *frame) error {
	last := idspace.NodeNumber(f.u[0])
	numbers := make([]idspace.NodeNumber, len(f.ids))
	for i, v := range f.ids {
		numbers[i] = idspace.NodeNumber(v)
		if !numbers[i].Valid() {
			return reasonError{ReasonMalformed}
		}
	}
	if last > idspace.MaxNumber {
		return reasonError{ReasonMalformed}
	}
	m.cfg.Heard(peer, numbers, last)
	return nil
}

// newestNumbers returns what fits into a handshake.
func (m *Mesh) newestNumbers() []idspace.NodeNumber {
	numbers := m.cfg.Identity.Numbers()
	return numbers[max(len(numbers)-maxNumbers, 0):]
}

// hello returns what every handshake from here says.
func (m *Mesh) hello(peer idspace.BootID) hello {
	return hello{
		min: m.min, max: m.max, features: m.features,
		cluster: m.cfg.Identity.Cluster(), boot: m.cfg.Identity.Boot(), expected: peer,
		last: m.cfg.Identity.Last(), numbers: m.newestNumbers(),
	}
}

// ended counts the end of a stream, and logs it if the peer is at fault.
func (m *Mesh) ended(s *stream, peer idspace.BootID) {
	reason := s.why()
	s.traffic.ends.add(reason)
	m.counters.add(reason)
	switch {
	case reason.isFault() || reason == ReasonDead:
		m.cfg.Logger.Warn("stream ended", "peer", peer, "reason", reason.String())
	default:
		m.cfg.Logger.Debug("stream ended", "peer", peer, "reason", reason.String())
	}
}

// code returns the outcome on the wire for an error of the owner.
func (m *Mesh) code(err error) Outcome {
	o := m.cfg.OutcomeOf(err)
	if !o.Valid() || o == OutcomeAccepted {
		return OutcomeUncertain
	}
	return o
}

// answerTo is code with what else is known.
func (m *Mesh) answerTo(err error) verdict {
	a := only(m.code(err))
	if a.Outcome == OutcomeGone && m.cfg.EndOf != nil {
		a.end = m.cfg.EndOf(err)
	}
	return a
}

// random returns a number for jitter. A source that fails gives none.
func (m *Mesh) random() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(m.cfg.Random, b[:]); err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(b[:])
}
