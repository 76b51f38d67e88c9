package trust

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often the files are looked at: soon enough for an operator who
// waits for it, and a few calls of the system a second.
const lookEvery = time.Second

// A certificate is to be renewed when so much is left of it, or a quarter if that is
// less; an operator hears of it so often.
const (
	expiresSoon = 14 * 24 * time.Hour
	expiryEvery = 24 * time.Hour
)

// Config holds the settings of a Trust.
type Config struct {
	// ClusterName is the cluster's. Required; with certificates one that CheckName
	// takes.
	ClusterName string

	// KeyFile holds the keys of the cluster. Required: packets of gossip know
	// no certificates.
	KeyFile string

	// Cert, Key and CA are files in PEM form: the certificate of this node, its
	// private key, and the CA of all nodes. All or none.
	Cert, Key, CA string

	// Now reads the wall clock, for certificates. Nil means time.Now.
	Now func() time.Time

	// Logger gets what an operator may want to know. Nil means none.
	Logger *slog.Logger
}

func (c Config) validate() error {
	var faults []error
	if c.ClusterName == "" {
		faults = append(faults, fmt.Errorf("%w: ClusterName %q: allowed is a name", ErrBadConfig, c.ClusterName))
	}
	some := c.Cert != "" || c.Key != "" || c.CA != ""
	if some && (c.Cert == "" || c.Key == "" || c.CA == "") {
		faults = append(faults, fmt.Errorf("%w: certificate %q, key %q, CA %q: allowed are all three, or none", ErrBadConfig, c.Cert, c.Key, c.CA))
	}
	if c.KeyFile == "" {
		faults = append(faults, fmt.Errorf("%w: certificates without a key file: allowed is a key file beside them: "+
			"packets of gossip know no certificates, and would be in clear text", ErrBadConfig))
	}
	if some {
		if err := CheckName(c.ClusterName); err != nil {
			faults = append(faults, fmt.Errorf("%w: cluster name, which certificates hold: %w", ErrBadConfig, err))
		}
	}
	return errors.Join(faults...)
}

// Trust is what a node shows others and accepts of them. Its methods are safe for
// concurrent use.
type Trust struct {
	cfg     Config // immutable
	current atomic.Pointer[snapshot]
	counts  counters
	streams streams

	// credulous believes every certificate. Tests set it, to see strangers be
	// refused by others than themselves.
	credulous bool

	mu           sync.Mutex        // held while the files are read
	seen, failed [sha256.Size]byte // digests: of what is used, and of what could not be
}

// snapshot is what the files held at one moment. It is immutable.
type snapshot struct {
	keys      []Key
	proofs    [][]byte // of keys, in their order
	certified *certified
	shown     tls.Certificate
}

// Mode is by what a node tells nodes from strangers.
type Mode uint8

// The modes.
const (
	ModeNone Mode = iota // by nothing: clear text
	ModeKey              // by the cluster's key
	ModeTLS              // by a certificate for each node, beside the key
)

// String returns none, key or tls.
func (m Mode) String() string {
	switch m {
	case ModeNone:
		return "none"
	case ModeKey:
		return "key"
	case ModeTLS:
		return "tls"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Mode returns by what t tells nodes from strangers: ModeNone if t is nil.
func (t *Trust) Mode() Mode {
	switch {
	case t == nil:
		return ModeNone
	case t.cfg.CA == "":
		return ModeKey
	}
	return ModeTLS
}

// Counts are what a Trust counted since New.
type Counts struct {
	Reloads      uint64 // changes of files that were taken over
	ReloadFaults uint64 // changes that cannot be used: what was before stays
	Severed      uint64 // open streams that were closed for what a change took away
}

type counters struct{ reloads, faults, severed atomic.Uint64 }

// New reads the files and starts nothing. The error matches ErrBadConfig, and
// ErrBadKeyFile or ErrBadCertificate if a file is at fault.
func New(cfg Config) (*Trust, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Trust{cfg: cfg, streams: streams{open: make(map[*Conn]struct{})}}
	t.seen = t.digest()
	s, err := t.load()
	if err != nil {
		return nil, fmt.Errorf("trust: %w: %w", ErrBadConfig, err)
	}
	t.current.Store(s)
	return t, nil
}

// load reads the files.
func (t *Trust) load() (*snapshot, error) {
	s := &snapshot{}
	var keyFault, certFault error
	s.keys, keyFault = LoadKeys(t.cfg.KeyFile)
	for _, k := range s.keys {
		s.proofs = append(s.proofs, k.derive("proof", t.cfg.ClusterName))
	}
	if t.cfg.CA == "" {
		if before := t.current.Load(); before != nil {
			s.shown = before.shown
		} else {
			s.shown, certFault = ephemeral()
		}
	} else if s.certified, certFault = loadCertified(t.cfg.Cert, t.cfg.Key, t.cfg.CA, t.cfg.ClusterName, t.cfg.Now()); certFault == nil {
		s.shown = s.certified.pair
	}
	if err := errors.Join(keyFault, certFault); err != nil {
		return nil, err
	}
	return s, nil
}

// GossipKeys returns the keys for packets of gossip. The first is used, all are
// accepted.
func (t *Trust) GossipKeys() (keys [][]byte) {
	for _, k := range t.current.Load().keys {
		keys = append(keys, k.derive("gossip", t.cfg.ClusterName))
	}
	return keys
}

// Keys returns how many keys are accepted.
func (t *Trust) Keys() int { return len(t.current.Load().keys) }

// Own returns what this node's certificate says, and until when; zero without a
// CA.
func (t *Trust) Own() (Identity, time.Time) {
	c := t.current.Load().certified
	if c == nil {
		return Identity{}, time.Time{}
	}
	return c.own, c.until
}

// Counts returns what was counted so far.
func (t *Trust) Counts() Counts {
	return Counts{Reloads: t.counts.reloads.Load(), ReloadFaults: t.counts.faults.Load(), Severed: t.counts.severed.Load()}
}

// Run follows the files until ctx is done, then returns nil. changed is called
// after each change that was taken over, and must not call back.
func (t *Trust) Run(ctx context.Context, changed func()) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var warned time.Time
	for {
		select {
		case <-tick.C:
			t.warnOfExpiry(&warned)
			if t.follow() {
				changed()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// warnOfExpiry tells once a day that the certificate has to be renewed: once it has
// expired, no node opens a stream to this one any more.
func (t *Trust) warnOfExpiry(warned *time.Time) {
	c := t.current.Load().certified
	now := t.cfg.Now()
	if c == nil || c.until.Sub(now) > min(expiresSoon, c.valid/4) || !warned.IsZero() && now.Sub(*warned) < expiryEvery {
		return
	}
	*warned = now
	t.cfg.Logger.Warn("the certificate of this node between nodes ends, and with it what reaches this node: renew it",
		"cert", t.cfg.Cert, "until", c.until)
}

// follow takes over what has changed, if it can be used, and reports whether it
// did.
func (t *Trust) follow() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.digest() // what changes from here on is seen next time
	if now == t.seen {
		return false
	}
	s, err := t.load()
	if err != nil { // which may pass: a certificate is not valid yet, or no file can be opened
		if t.failed != now {
			t.counts.faults.Add(1)
			t.cfg.Logger.Error("changed keys or certificates between nodes cannot be used; the former ones stay", "err", err)
		}
		t.failed = now
		return false
	}
	t.seen = now
	t.current.Store(s)
	severed := t.sever(s)
	t.counts.severed.Add(uint64(severed))
	t.counts.reloads.Add(1)
	t.cfg.Logger.Info("keys and certificates between nodes read again",
		"key_file", t.cfg.KeyFile, "keys", len(s.keys), "cert", t.cfg.Cert, "streams_closed", severed)
	return true
}

// digest tells one state of the files from another: what they hold, and who may
// read it. Reading so little costs less than to find out from their times.
func (t *Trust) digest() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range []string{t.cfg.KeyFile, t.cfg.Cert, t.cfg.Key, t.cfg.CA} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			text, _ := readAtMost(path) // a fault is one of load, too
			part := sha256.Sum256(text)
			fmt.Fprintf(h, "%o %x", info.Mode(), part)
		}
		h.Write([]byte{0})
	}
	h.Sum(sum[:0])
	return sum
}
