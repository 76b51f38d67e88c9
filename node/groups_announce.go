package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/idspace"
)

const (
	// announceTimeout bounds one request by which a peer is told of groups.
	announceTimeout = 5 * time.Second

	// announceEvery is how often it is looked who has to be told again, after a
	// failure, and who is there at all.
	announceEvery = time.Second

	// auditEvery is how often a peer that was told everything is asked whether it
	// still knows it.
	auditEvery = 5 * time.Minute
)

// A peerLife is a life of another node that may hold members.
type peerLife struct {
	boot    idspace.BootID
	name    string
	number  NodeNumber // its newest
	present bool
}

// An announcer tells every other node which groups have members here, each at its
// own pace: to one node there is one request under way, and what changes meanwhile
// goes with the next. A node that misses something says which version it has.
type announcer struct {
	own     *interests
	failed  func()
	moved   func() uint64 // counts how often what lives returns has changed
	lives   func() []peerLife
	meet    func([]peerLife)
	have    func(idspace.BootID) uint64 // the version that is known of a peer's groups
	request func(ctx context.Context, to idspace.BootID, body []byte) ([]byte, error)

	telling sync.WaitGroup

	looking sync.Mutex    // held during a look, so that the last one has the last word
	seen    atomic.Uint64 // what moved was before the last look

	mu    sync.Mutex
	peers map[idspace.BootID]*told // guarded by mu, with all in it: one for each present life
}

// told is how much a peer has been told.
type told struct {
	version uint64    // 0: that it has to be asked
	at      time.Time // when it has said so
	retry   time.Time // not before
	busy    bool      // a goroutine is telling it
}

// run tells until ctx is done.
func (a *announcer) run(ctx context.Context) {
	defer a.telling.Wait()
	ticker := time.NewTicker(announceEvery)
	defer ticker.Stop()
	for {
		a.tellAll(ctx, a.look())
		select {
		case <-ctx.Done():
			return
		case <-a.own.told:
		case <-ticker.C:
		}
	}
}

// catchUp takes note of who came and went, if anybody did since the last look. A
// publish begins with it: whom a send reaches, it reaches too.
func (a *announcer) catchUp() {
	if a.seen.Load() != a.moved() {
		a.look()
	}
}

// look returns who is there, and takes note of who came and went.
func (a *announcer) look() []peerLife {
	a.looking.Lock()
	defer a.looking.Unlock()
	moved := a.moved()
	lives := a.lives()
	a.meet(lives)
	defer a.seen.Store(moved)
	a.mu.Lock()
	defer a.mu.Unlock()
	present := make(map[idspace.BootID]bool, len(lives))
	for _, l := range lives {
		if l.present {
			present[l.boot] = true
			if a.peers[l.boot] == nil {
				a.peers[l.boot] = &told{}
			}
		}
	}
	for boot := range a.peers {
		if !present[boot] { // if it comes back, it is asked what it knows
			delete(a.peers, boot)
		}
	}
	return lives
}

// learn takes the word of a peer that it knows that version. If it was told another
// one it has forgotten: gossip may have lost this node there, and that one here not.
func (a *announcer) learn(boot idspace.BootID, version uint64) {
	a.mu.Lock()
	p := a.peers[boot]
	forgot := p != nil && !p.busy && p.version != version
	if forgot {
		p.version = 0
	}
	a.mu.Unlock()
	if forgot {
		a.own.wake()
	}
}

// tellAll has each peer told that is not being told, and needs it.
func (a *announcer) tellAll(ctx context.Context, lives []peerLife) {
	version, now := a.own.current(), time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range lives {
		p := a.peers[l.boot]
		if p == nil || p.busy || now.Before(p.retry) || p.version == version && now.Sub(p.at) < auditEvery {
			continue
		}
		p.busy = true
		a.telling.Go(func() { a.tell(ctx, l.boot, p) })
	}
}

// tell tells one peer until it has everything, or something fails.
func (a *announcer) tell(ctx context.Context, boot idspace.BootID, p *told) {
	a.mu.Lock()
	version := p.version
	a.mu.Unlock()
	version, err := a.tellFrom(ctx, boot, version)
	a.mu.Lock()
	defer a.mu.Unlock()
	p.busy, p.version, p.at = false, version, time.Now()
	if err != nil {
		p.retry = p.at.Add(announceEvery / 2) // with the next look
		if ctx.Err() == nil {
			a.failed()
		}
	}
	if version != a.own.current() {
		a.own.wake()
	}
}

// turnsPerTell bounds the requests of one tell: then others have their turn, and a
// peer that says one thing after another is left alone for a moment.
const turnsPerTell = 64

// tellFrom tells what has changed since the version that the peer has. If that is
// not known it asks, with an announcement that changes nothing.
func (a *announcer) tellFrom(ctx context.Context, boot idspace.BootID, version uint64) (uint64, error) {
	if version == 0 {
		version = a.own.current()
	}
	for range turnsPerTell {
		var err error
		if version, err = a.tellOnce(ctx, boot, version); err != nil || version == a.own.current() {
			return version, err
		}
	}
	return version, errBusy
}

// errBusy: there is more to tell than a tell may.
var errBusy = errors.New("groups change faster than they are told")

// tellOnce tells what has changed since version, or everything if it is not known
// what the peer has. It returns the version that the peer has then.
func (a *announcer) tellOnce(ctx context.Context, boot idspace.BootID, version uint64) (uint64, error) {
	changes, to, sum, ok := a.own.since(version, changesPerAnnouncement)
	if !ok {
		return a.tellWhole(ctx, boot)
	}
	return a.ask(ctx, boot, announcement{from: version, to: to, sum: sum, changes: changes})
}

// tellWhole tells everything, page by page. A peer that does not take it is a
// failure: the next attempt begins anew.
func (a *announcer) tellWhole(ctx context.Context, boot idspace.BootID) (version uint64, err error) {
	hashes, to, sum := a.own.all()
	for page := uint64(0); ; page++ {
		some := hashes[:min(len(hashes), changesPerAnnouncement)]
		hashes = hashes[len(some):]
		next := announcement{whole: true, last: len(hashes) == 0, page: page, to: to, sum: sum}
		for _, h := range some {
			next.changes = append(next.changes, change{hash: h, added: true})
		}
		if version, err = a.ask(ctx, boot, next); err != nil || next.last {
			break
		}
	}
	if err == nil && version != to {
		err = fmt.Errorf("%w: version %d of %d was not taken", errBadAnnouncement, to, version)
	}
	if err != nil {
		return 0, err
	}
	return version, nil
}

// ask sends one announcement. Of a peer that does not answer nobody knows what it
// has heard.
func (a *announcer) ask(ctx context.Context, boot idspace.BootID, next announcement) (version uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	next.have = a.have(boot)
	body, err := a.request(ctx, boot, next.encode())
	if err != nil {
		return 0, err
	}
	if len(body) != 8 {
		return 0, errBadAnnouncement
	}
	return binary.BigEndian.Uint64(body), nil
}

func encodeVersion(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
