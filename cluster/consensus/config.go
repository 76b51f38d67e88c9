package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"flamingo/idspace"
)

// Defaults; durations of raft are its own defaults, measured to fail over well
// within three seconds, the others are of the design, section 4. A leader whose disk
// hangs is seen after WatchdogEvery, WatchdogTimeout and half of that again, to be
// within 15 s.
const (
	defaultVoters          = 3
	defaultHeartbeat       = time.Second
	defaultElection        = time.Second
	defaultLease           = 500 * time.Millisecond
	defaultCommit          = 50 * time.Millisecond
	defaultRPC             = 5 * time.Second
	defaultWatchdogEvery   = 5 * time.Second
	defaultWatchdogTimeout = 6 * time.Second
	defaultReconcileEvery  = 2 * time.Second
	defaultDeadAfter       = 5 * time.Minute

	// minDeadAfter: a restart must not cost a voter its place.
	minDeadAfter = time.Minute
)

// Candidate is a server that could take part in raft, as the mesh sees it.
type Candidate struct {
	Server    idspace.ServerID
	Reachable bool
	WantsVote bool // false: not to become a voter, and to stop being one
}

// Config holds the settings of a Server.
type Config struct {
	// Store is opened by the caller, who closes it after Run. Required.
	Store *Store

	// Network is required.
	Network Network

	// Voters is the number of voters to reach: 1, 3 or 5. Zero means 3. More
	// than that are kept: there may be servers that want more.
	Voters int

	// Candidates returns the servers that could vote, this one included. It
	// must not block. Nil: the voters are left as they are.
	Candidates func() []Candidate

	// ClockOffset returns how far this machine's clock is ahead of the median
	// of the voters'; known is false while too few were heard, and then the
	// clock is trusted. It must not block. Nil: the clock is trusted.
	ClockOffset func() (median time.Duration, known bool)

	// AskRemoval asks the leader to call Remove for this server. Nil: a
	// server in memory that does not lead stays in the configuration when it
	// leaves.
	AskRemoval func(ctx context.Context, leader idspace.ServerID) error

	// Now reads the wall clock, for stamping grants and nothing else. Waits
	// and pacing go by the monotonic clock of package time. Nil: time.Now.
	Now func() time.Time

	// Logger may be nil.
	Logger *slog.Logger

	// HeartbeatTimeout, ElectionTimeout, LeaseTimeout and CommitTimeout are
	// raft's; zero means 1 s, 1 s, 500 ms and 50 ms. The lease must not exceed
	// the heartbeat, nor the heartbeat the election.
	HeartbeatTimeout time.Duration
	ElectionTimeout  time.Duration
	LeaseTimeout     time.Duration
	CommitTimeout    time.Duration

	// RPCTimeout bounds one exchange with a peer, dialling included. Zero
	// means 5 s.
	RPCTimeout time.Duration

	// WatchdogEvery is how often a leader commits a no-op, WatchdogTimeout
	// how long that may take before it gives leadership up. Zero means 5 s
	// and 10 s.
	WatchdogEvery   time.Duration
	WatchdogTimeout time.Duration

	// ReconcileEvery is how often a leader compares the voters with
	// Candidates. Zero means 2 s.
	ReconcileEvery time.Duration

	// DeadAfter is how long a voter must be silent before another takes its
	// place. Zero means 5 min; at least 1 min.
	DeadAfter time.Duration
}

type duration struct {
	name  string
	value *time.Duration
	unset time.Duration
}

func (c *Config) durations() []duration {
	return []duration{
		{"HeartbeatTimeout", &c.HeartbeatTimeout, defaultHeartbeat},
		{"ElectionTimeout", &c.ElectionTimeout, defaultElection},
		{"LeaseTimeout", &c.LeaseTimeout, defaultLease},
		{"CommitTimeout", &c.CommitTimeout, defaultCommit},
		{"RPCTimeout", &c.RPCTimeout, defaultRPC},
		{"WatchdogEvery", &c.WatchdogEvery, defaultWatchdogEvery},
		{"WatchdogTimeout", &c.WatchdogTimeout, defaultWatchdogTimeout},
		{"ReconcileEvery", &c.ReconcileEvery, defaultReconcileEvery},
		{"DeadAfter", &c.DeadAfter, defaultDeadAfter},
	}
}

// withDefaults returns a copy; it replaces zero values only.
func (c Config) withDefaults() Config {
	for _, d := range c.durations() {
		if *d.value == 0 {
			*d.value = d.unset
		}
	}
	if c.Voters == 0 {
		c.Voters = defaultVoters
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate checks a Config that has its defaults.
func (c Config) validate() error {
	var errs []error
	if c.Store == nil || c.Network == nil {
		errs = append(errs, errors.New("Store and Network are required"))
	}
	if c.Voters != 1 && c.Voters != 3 && c.Voters != 5 {
		errs = append(errs, fmt.Errorf("want 1, 3 or 5 Voters, not %d", c.Voters))
	}
	for _, d := range c.durations() {
		if *d.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %v, want more than zero", d.name, *d.value))
		}
	}
	if c.LeaseTimeout > c.HeartbeatTimeout {
		errs = append(errs, fmt.Errorf("LeaseTimeout %v exceeds HeartbeatTimeout %v", c.LeaseTimeout, c.HeartbeatTimeout))
	}
	if c.HeartbeatTimeout > c.ElectionTimeout {
		errs = append(errs, fmt.Errorf("HeartbeatTimeout %v exceeds ElectionTimeout %v", c.HeartbeatTimeout, c.ElectionTimeout))
	}
	if c.DeadAfter < minDeadAfter {
		errs = append(errs, fmt.Errorf("DeadAfter is %v, want at least %v", c.DeadAfter, minDeadAfter))
	}
	return errors.Join(errs...)
}
