package attach

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"flamingo/node"
)

// DefaultAckTimeout is how long the oldest event of a worker may be out.
const DefaultAckTimeout = time.Minute

// Config holds the settings of a Server.
type Config struct {
	// Node is whose application the workers are: usually a *node.Node, whose
	// Opts.Ignore is zero. It is needed.
	Node Node

	// Tokens are who may attach. None means everybody who can connect.
	Tokens []Token

	// Webhook is posted events to, beside the workers. Nil means none.
	Webhook *Webhook

	// AckTimeout ends the session of a worker that has not acknowledged its oldest
	// event for so long. Zero means DefaultAckTimeout; at least 1 s.
	AckTimeout time.Duration

	// NodeName is what workers are told, for people. It may be empty.
	NodeName string

	// Logger gets a line when a session begins and ends. Nil means slog.Default.
	Logger *slog.Logger
}

// Node is what a Server needs of a node.Node, which documents the methods.
type Node interface {
	TakeEvents(ctx context.Context, take func([]node.Event)) error
	DoneEvents(events []node.Event)
	Number() node.NodeNumber

	SendDataAs(id node.ID, kind node.Kind, msg []byte) error
	SendManyAs(ids []node.ID, kind node.Kind, msg []byte) []error
	SendAs(ctx context.Context, id node.ID, kind node.Kind, msg []byte) error
	SendCloseWith(id node.ID, code int, reason string) error
	JoinGroup(id node.ID, group string) error
	LeaveGroup(id node.ID, group string) error
	PublishAs(group string, kind node.Kind, msg []byte, except ...node.ID) (node.Published, error)
	CloseGroupWith(group string, code int, reason string) (node.Published, error)
	SetMeta(id node.ID, key, value string) error

	Describe(ctx context.Context, id node.ID) (node.ConnInfo, error)
	Groups(id node.ID) ([]string, error)
	GroupMembers(ctx context.Context, group string, after node.ID, limit int) (node.MembersPage, error)
	GroupCount(ctx context.Context, group string) (int, []*node.NodeError, error)
	Watch(ctx context.Context, id node.ID) (<-chan node.WatchEvent, error)
}

func (c Config) check() error {
	var faults []error
	if c.Node == nil {
		faults = append(faults, errors.New("config: Node is needed"))
	}
	if c.AckTimeout != 0 && c.AckTimeout < time.Second {
		faults = append(faults, fmt.Errorf("%w: AckTimeout %v: allowed are 0 and 1s or more", node.ErrBadOption, c.AckTimeout))
	}
	for i, t := range c.Tokens {
		if t.scopes == 0 {
			faults = append(faults, fmt.Errorf("%w: Tokens: the one at %d has no scope: use ParseTokens", node.ErrBadOption, i))
		}
	}
	if c.Webhook != nil {
		faults = append(faults, c.Webhook.Check())
	}
	return errors.Join(faults...)
}

// scopes are what a worker may do.
type scopes uint8

const (
	scopeEvents scopes = 1 << iota
	scopeSend
	scopeRead

	allScopes = scopeEvents | scopeSend | scopeRead
)

var scopeNames = map[string]scopes{"events": scopeEvents, "send": scopeSend, "read": scopeRead}

// A Token is what a worker shows, and what it may do then. ParseTokens makes it.
type Token struct {
	hash   [sha256.Size]byte // comparing must not tell how much of a token is right
	scopes scopes
}

// Of a token: short ones can be guessed, long ones do not fit into a hello.
const (
	minToken = 16
	maxToken = 1024
)

// ParseTokens reads a file of tokens: one a line, followed by its scopes, which are
// events, send and read, with commas or blanks between them; without any it has all. Empty lines and those
// that begin with # do not count. The error names the line, and never the token.
func ParseTokens(r io.Reader) ([]Token, error) {
	var tokens []Token
	seen := make(map[[sha256.Size]byte]int)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words[0]) < minToken || len(words[0]) > maxToken {
			return nil, fmt.Errorf("line %d: a token of %d bytes: allowed are %d to %d", n, len(words[0]), minToken, maxToken)
		}
		t := Token{hash: sha256.Sum256([]byte(words[0]))}
		if first, twice := seen[t.hash]; twice {
			return nil, fmt.Errorf("line %d: the token of line %d once more", n, first)
		}
		seen[t.hash] = n
		for word := range strings.FieldsFuncSeq(strings.Join(words[1:], ","), func(c rune) bool { return c == ',' }) {
			scope, ok := scopeNames[word]
			if !ok {
				return nil, fmt.Errorf("line %d: scope %.40q: allowed are events, send and read", n, word)
			}
			t.scopes |= scope
		}
		if t.scopes == 0 {
			t.scopes = allScopes
		}
		tokens = append(tokens, t)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, errors.New("no token in it")
	}
	return tokens, nil
}
