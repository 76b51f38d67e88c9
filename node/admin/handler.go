package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/framing"
	"flamingo/node"
	"flamingo/node/attach"
)

// DefaultPort is where a node is seen over HTTP, by convention.
const DefaultPort = 4180

// Config holds the settings of a Handler. The zero value answers to loopback
// alone.
type Config struct {
	// Token is what requests bear: Authorization: Bearer TOKEN. Letters,
	// digits and -._~+/ with = at the end, at most 4096. It is good for everything.
	// Empty means none; without Tokens too only requests from loopback are answered.
	Token string

	// Tokens are further ones, each with what it is good for; at most 64, no two the
	// same.
	Tokens []Token

	// Hosts are names or addresses, without port, that requests may name as
	// their Host beside localhost and the addresses of loopback. They count
	// only without a token.
	Hosts []string

	// MaxMessage is the longest message that is accepted, in bytes. Zero means
	// 1 MiB; at most 1 GiB. The framing of a connection may allow less.
	MaxMessage int64

	// Settings are what the program was started with, for GET /api/v1/config.
	Settings []Setting

	// Logger receives what an operator should see, one refused request of each kind
	// a minute among it, and the others at level debug. Nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxMessage = 1 << 20 // bytes; that of listeners
	maxToken          = 4096    // characters; fits into the headers of Server
	maxTokens         = 64      // each of which a request is compared with

	// maxSending bounds the messages that are being received or sent at once,
	// and with MaxMessage their memory: 256 MiB. One more is refused as busy.
	maxSending = 256
)

// ErrBadConfig says that a field of Config is out of its range. The message
// names field and value, or for a token what is wrong with it.
var ErrBadConfig = errors.New("bad config")

// target is what a Handler needs of a node; *node.Node is one.
type target interface {
	SendDataAs(id node.ID, kind node.Kind, msg []byte) error
	SendDataBeforeAs(deadline time.Time, id node.ID, kind node.Kind, msg []byte) error
	SendAs(ctx context.Context, id node.ID, kind node.Kind, msg []byte) error
	SendAckedAs(ctx context.Context, id node.ID, kind node.Kind, msg []byte) error
	DisconnectWith(id node.ID, code int, reason string) error
	Describe(ctx context.Context, id node.ID) (node.ConnInfo, error)
	Connections(cursor string, limit int) (node.Page, error)
	ClusterConnections(ctx context.Context, cursor string, limit int) (node.ClusterPage, error)
	Nodes() []node.NodeInfo
	Retire(ctx context.Context, number node.NodeNumber, anyway bool) error
	Closing() bool
	StartDrain(plan node.DrainPlan) error
	DrainDefault() node.DrainPlan
	DrainProgress() node.DrainProgress
	Drained() <-chan struct{}
	grouping
	counting
	bulking
	overseeing
}

var _ target = (*node.Node)(nil)

// A Handler answers HTTP requests about one node.
type Handler struct {
	guard      *guard
	mux        *http.ServeMux
	maxMessage int64
	logger     *slog.Logger
	now        func() time.Time
	sending    chan struct{} // a token for each message under way; never closed
	bulk       chan struct{} // likewise for each request for many; never closed
	scrapes    chan struct{} // likewise for each scrape; never closed
	patience   time.Duration // bodyTimeout
	strangers  strangers
	traffic    *traffic
	metrics    http.Handler // of /metrics
	settings   []Setting
	overviews  overviews

	mu      sync.Mutex
	node    target // guarded by mu: nil until Attach
	waiting string // guarded by mu: what for

	workers atomic.Pointer[attach.Server] // nil until AttachWorkers
}

// New returns a Handler that has no node yet. All faults of cfg are reported at
// once; they match ErrBadConfig.
func New(cfg Config) (*Handler, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	h := &Handler{
		guard:      newGuard(cfg.tokens(), cfg.Hosts),
		mux:        http.NewServeMux(),
		maxMessage: cfg.MaxMessage,
		logger:     cfg.Logger,
		now:        time.Now,
		sending:    make(chan struct{}, maxSending),
		bulk:       make(chan struct{}, maxBulk),
		scrapes:    make(chan struct{}, maxScrapes),
		patience:   bodyTimeout,
		strangers:  strangers{kinds: make(map[string]*unsaid)},
		waiting:    "starting",
		traffic:    newTraffic(),
		settings:   append([]Setting{}, cfg.Settings...),
		overviews:  overviews{following: make(chan struct{}, maxFollowers)},
	}
	h.metrics = newScraper(h)
	if h.maxMessage == 0 {
		h.maxMessage = defaultMaxMessage
	}
	if h.logger == nil {
		h.logger = slog.Default()
	}
	for _, r := range h.resources() {
		h.mux.Handle(r.path, r)
	}
	return h, nil
}

func (c *Config) validate() error {
	var faults []error
	bad := func(field, value, allowed string) {
		faults = append(faults, fmt.Errorf("%w: %s %s: allowed is %s", ErrBadConfig, field, value, allowed))
	}
	if !isToken(c.Token) {
		bad("Token", fmt.Sprintf("of %d characters", len(c.Token)), tokenForm)
	}
	faults = append(faults, c.tokenFaults()...)
	for _, host := range c.Hosts {
		if !isHost(host) {
			bad("Hosts", fmt.Sprintf("%.80q", host), "a name or an address, without port")
		}
	}
	if c.MaxMessage < 0 || c.MaxMessage > framing.MaxMessageLimit {
		bad("MaxMessage", fmt.Sprint(c.MaxMessage), fmt.Sprintf("0 to %d", framing.MaxMessageLimit))
	}
	return errors.Join(faults...)
}

// tokenForm says what a token may be.
var tokenForm = fmt.Sprintf("up to %d letters, digits and -._~+/ with = at the end", maxToken)

// tokenFaults returns what is wrong with the tokens beside the first.
func (c *Config) tokenFaults() (faults []error) {
	bad := func(i int, allowed string) {
		faults = append(faults, fmt.Errorf("%w: Tokens[%d] of %d characters and scope %d: allowed is %s",
			ErrBadConfig, i, len(c.Tokens[i].Token), c.Tokens[i].Scope, allowed))
	}
	if len(c.Tokens) > maxTokens {
		faults = append(faults, fmt.Errorf("%w: %d Tokens: allowed are up to %d", ErrBadConfig, len(c.Tokens), maxTokens))
	}
	seen := map[string]bool{c.Token: true}
	for i, t := range c.Tokens {
		switch {
		case t.Token == "" || !isToken(t.Token):
			bad(i, tokenForm)
		case seen[t.Token]:
			bad(i, "a token that is given once")
		case t.Scope == 0 || t.Scope&^allScopes != 0:
			bad(i, "one of the scopes, or several")
		}
		seen[t.Token] = true
	}
	return faults
}

// tokens returns all of them.
func (c *Config) tokens() []Token {
	if c.Token == "" {
		return c.Tokens
	}
	return append([]Token{{c.Token, allScopes}}, c.Tokens...)
}

// isToken reports whether s is empty or can stand behind Bearer: RFC 6750,
// section 2.1.
func isToken(s string) bool {
	if s == "" {
		return true
	}
	body := strings.TrimRight(s, "=")
	return body != "" && len(s) <= maxToken && !strings.ContainsFunc(body, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-._~+/", r)
	})
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// Waiting sets what /readyz says until Attach: why there is no node yet, in a
// few words. Everybody may read it.
func (h *Handler) Waiting(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = reason
}

// Attach makes n the node that is shown. Until then /livez answers, and
// everything that needs a node answers the problem not-ready.
func (h *Handler) Attach(n *node.Node) { h.attach(n) }

func (h *Handler) attach(n target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.node = n
}

// attached returns the node, or the problem that there is none yet.
func (h *Handler) attached() (target, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.node == nil {
		return nil, fail(problemNotReady, "%s", h.waiting)
	}
	return h.node, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if r.ContentLength != 0 { // the server reads what is left of a body even for who is refused
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.patience)) // not every server can
	}
	next, _ := h.mux.Handler(r)
	res, known := next.(*resource)
	w, done := h.traffic.begin(w, r, res)
	defer done()
	access := forBearers
	if known {
		access = res.access
	}
	scope := ScopeRead
	if known {
		scope = res.scopeOf(r.Method)
	}
	if err := h.guard.check(w.Header(), r, access, scope); err != nil {
		h.strangers.say(h.logger, h.now(), r, err)
		h.refuse(w, r, err)
		return
	}
	if !known { // the mux would redirect paths such as //livez: nothing here moves
		h.refuse(w, r, fail(problemNoSuchPath, "%.200q is no path of this node", r.URL.Path))
		return
	}
	h.mux.ServeHTTP(w, r) // sets the values in the path, and calls res
}

// secure sets what every answer tells a browser: it is no page, nobody frames
// or keeps it, and no other site reads it.
func secure(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
}
