package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"flamingo/node"
)

// A Problem is a kind of failure, as HTTP and the command line tell it: RFC
// 9457. Those with an Outcome are the outcomes of package node; the others are
// failures of the request alone, and nothing was done.
type Problem struct {
	Slug      string // its name; Type is its type
	Status    int    // HTTP status code
	Title     string // a few words
	Retryable bool   // the same request may succeed later, and does no harm twice
	Exit      int    // exit code of a command that ends with it
	Outcome   error  // sentinel of package node; nil if it is none
	help      string
}

// Type returns the type as RFC 9457 has it: a path at which the node explains
// the problem.
func (p Problem) Type() string { return "/problems/" + p.Slug }

// Problems returns all of them: first the outcomes, in the order of package
// node.
func Problems() []Problem { return slices.Clone(problems[:]) }

// ProblemOf returns the problem that err, which is not nil, is. One that is
// nothing of what is known is "internal".
func ProblemOf(err error) Problem {
	if f, ok := errors.AsType[*failure](err); ok {
		return named(f.slug)
	}
	if errors.Is(err, node.ErrUncertain) { // whatever else: never to be called not sent
		return named(problemUncertain)
	}
	for _, p := range problems {
		if p.Outcome != nil && errors.Is(err, p.Outcome) {
			return p
		}
	}
	if errors.Is(err, node.ErrBadOption) {
		return named(problemBadRequest)
	}
	return named(problemInternal)
}

// The slugs. Append only: programs keep them.
const (
	problemGone         = "gone"
	problemNeverIssued  = "never-issued"
	problemUnreachable  = "unreachable"
	problemBackpressure = "backpressure"
	problemExpired      = "expired"
	problemUncertain    = "uncertain"
	problemTooLarge     = "too-large"
	problemUnframeable  = "unframeable"
	problemBadID        = "bad-id"
	problemClosed       = "closed"
	problemBadCloseCode = "bad-close-code"
	problemBadGroup     = "bad-group"
	problemLimit        = "limit"
	problemNoAck        = "no-ack"

	problemBadRequest   = "bad-request"
	problemUnauthorized = "unauthorized"
	problemForbidden    = "forbidden"
	problemCrossOrigin  = "cross-origin"
	problemNoSuchPath   = "no-such-path"
	problemNoSuchMethod = "no-such-method"
	problemSlowRequest  = "slow-request"
	problemWrongHost    = "wrong-host"
	problemPresent      = "present"
	problemAlone        = "alone"
	problemBusy         = "busy"
	problemNotReady     = "not-ready"
	problemInternal     = "internal"
	problemScope        = "scope"
)

// Exit codes, the same for every command.
const (
	exitOther     = 1
	exitUsage     = 2 // wrong use, or a bad setting
	exitNoSuch    = 3 // the id is of no use
	exitNotNow    = 4 // not done, and a later try may succeed
	exitUncertain = 5 // perhaps done
)

// problems joins what a failure is called everywhere.
var problems = [...]Problem{
	{
		problemGone, 410, "The connection is gone", false, exitNoSuch, node.ErrGone,
		"The connection is closed, or the life of its node has ended. The id will never be used again: forget it.",
	},
	{
		problemNeverIssued, 404, "The id was never issued", false, exitNoSuch, node.ErrNeverIssued,
		"No connection ever had this id. It comes from another cluster, or it was made up.",
	},
	{
		problemUnreachable, 503, "The connection's node is unreachable", true, exitNotNow, node.ErrUnreachable,
		"The node that holds the connection cannot be reached from here now, or nobody here knows who holds its number. Nothing was sent. Try again later.",
	},
	{
		problemBackpressure, 429, "A queue on the way is full", true, exitNotNow, node.ErrBackpressure,
		"The client reads more slowly than it is sent to, or the link to its node is busy. Nothing was sent. Try again later, and send less.",
	},
	{
		problemExpired, 504, "The message was not written in time", false, exitNotNow, node.ErrExpired,
		"The timeout passed before the message was written to the client's socket, and the message was taken back. Nothing was sent. Send it again if it is still of use.",
	},
	{
		problemUncertain, 504, "Delivery is uncertain", false, exitUncertain, node.ErrUncertain,
		"The message, or the close, was handed to the network, and no answer came. It may have arrived. Try again only if twice does no harm.",
	},
	{
		problemTooLarge, 413, "The message is too large", false, exitUsage, node.ErrTooLarge,
		"The message is over the limit of the connection's framing, of the links between nodes, or of this API. Nothing was sent.",
	},
	{
		problemUnframeable, 422, "The message does not fit the framing", false, exitUsage, node.ErrUnframeable,
		"The message cannot be put into the connection's framing. Usually it contains the delimiter, such as a line feed where messages are lines. Nothing was sent.",
	},
	{
		problemBadID, 400, "Not an id", false, exitUsage, node.ErrBadID,
		"An id is exactly 16 lower-case hexadecimal digits, such as 01adc9000000002a. Read it as text: a number in JSON loses its last digits.",
	},
	{
		problemClosed, 503, "This node is closed", true, exitNotNow, node.ErrClosed,
		"The node that was asked is closing. Ask another one: every node can reach every connection.",
	},
	{
		problemBadCloseCode, 400, "Not a code for a close", false, exitUsage, node.ErrBadCloseCode,
		"A WebSocket can be closed with the codes 1000, 1001, 1003, 1007 to 1009, 1011 to 1014 and 3000 to 4999. Nothing was done: the connection is open as before.",
	},
	{
		problemBadGroup, 400, "Not the name of a group", false, exitUsage, node.ErrBadGroup,
		"A group has a name of 1 to 128 bytes, a key of metadata one of 1 to 64, in UTF-8 without control characters; a value is UTF-8. In a path, / is %2F. Nothing was done.",
	},
	{
		problemLimit, 409, "A limit is reached", false, exitNotNow, node.ErrLimit,
		"The connection is in as many groups, or has as much metadata, as its node allows, or the node holds as much as it may in all. The detail names the option. Nothing was done.",
	},
	{
		problemNoAck, 422, "The connection has no acknowledgements", false, exitUsage, node.ErrNoAck,
		"The connection's socket does not tell what its other end has acknowledged: it is a Unix socket, or its node does not run on Linux. Nothing was sent. Use ack=written.",
	},

	{
		problemBadRequest, 400, "The request is not understood", false, exitUsage, nil,
		"A parameter is unknown, given twice or out of its range, or the body broke off. The detail says which. Nothing was done.",
	},
	{
		problemUnauthorized, 401, "A token is needed", false, exitUsage, nil,
		"The request bears no token, or not the one of this node. Send the header Authorization: Bearer TOKEN.",
	},
	{
		problemForbidden, 403, "Only loopback is answered", false, exitUsage, nil,
		"A node without a token answers only requests from its own machine that no proxy has forwarded. Give the node a token to reach it from elsewhere.",
	},
	{
		problemCrossOrigin, 403, "Another site asked", false, exitUsage, nil,
		"The request changes something, and a browser says that a page of another origin has made it.",
	},
	{
		problemNoSuchPath, 404, "No such path", false, exitOther, nil,
		"The node answers nothing at this path. Paths are exact: no slash at the end, none doubled.",
	},
	{
		problemNoSuchMethod, 405, "No such method", false, exitOther, nil,
		"The path exists, and has no such method. The header Allow says which it has.",
	},
	{
		problemSlowRequest, 408, "The request took too long", true, exitNotNow, nil,
		"The body did not arrive in time. Nothing was sent.",
	},
	{
		problemWrongHost, 421, "The host is not this node's", false, exitUsage, nil,
		"A node without a token answers only to localhost, to an address of loopback, and to the names it was given, so that no web page reaches it under a name of its own.",
	},
	{
		problemPresent, 409, "The node is present", false, exitOther, nil,
		"A node that is there is not retired: drain it instead. With anyway=true it is retired all the same, and ends its clients' connections.",
	},
	{
		problemAlone, 409, "The node stands alone", false, exitUsage, nil,
		"The node that was asked belongs to no cluster, so there is no other node to retire.",
	},
	{
		problemBusy, 429, "Too many requests of this kind at once", true, exitNotNow, nil,
		"The node is busy with as many messages, or other requests of this kind, as it takes over HTTP at once. Nothing was done. Try again later.",
	},
	{
		problemNotReady, 503, "The node is not ready", true, exitNotNow, nil,
		"The node has no number yet. It waits, usually for other nodes; the detail says for what. Nothing was done.",
	},
	{
		problemScope, 403, "The token has not the scope", false, exitUsage, nil,
		"The token is one of this node, and is not good for this: the detail says for what it is. There are the scopes read, send and admin. Nothing was done.",
	},
	{
		problemInternal, 500, "The node has failed", false, exitOther, nil,
		"This is a fault of the node. Its log says more.",
	},
}

// named returns a problem that there is.
func named(slug string) Problem {
	i := slices.IndexFunc(problems[:], func(p Problem) bool { return p.Slug == slug })
	return problems[i]
}

// A failure is a problem with what is said about this one.
type failure struct {
	slug   string
	detail string
}

func (f *failure) Error() string { return f.detail }

func fail(slug, format string, args ...any) error {
	return &failure{slug: slug, detail: fmt.Sprintf(format, args...)}
}

// details is the body of an answer that is a problem.
type details struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail"`
	Instance  string  `json:"instance"`
	ID        node.ID `json:"id,omitzero"`
	Outcome   string  `json:"outcome,omitempty"` // the slug, if it is one of package node
	Retryable bool    `json:"retryable"`

	// Of a connection that is gone, while its node remembers.
	ClosedAt  string `json:"closed_at,omitempty"`
	Reason    string `json:"reason,omitempty"`
	CloseCode int    `json:"close_code,omitempty"` // of a WebSocket
}

// retryAfter is when a client should come again, in seconds, after 429 and 503.
const retryAfter = "1"

// refuse answers with the problem that err is.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	d := details{
		Type: p.Type(), Title: p.Title, Status: p.Status, Detail: err.Error(),
		Instance: r.URL.EscapedPath(), Retryable: p.Retryable,
	}
	d.ID, _ = idOf(r) // zero if there is none in the path
	if p.Outcome != nil {
		d.Outcome = p.Slug
	}
	if gone, ok := errors.AsType[*node.GoneError](err); ok {
		d.ClosedAt, d.Reason, d.CloseCode = instant(gone.At), gone.Reason.String(), gone.Code
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case http.StatusInternalServerError:
		h.logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	body, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and numbers
	}
	writeBody(w, p.Status, "application/problem+json", append(body, '\n'))
}

// help answers GET /problems/{slug}.
func (h *Handler) help(w http.ResponseWriter, r *http.Request) error {
	for _, p := range problems {
		if p.Slug == r.PathValue("slug") {
			writeBody(w, http.StatusOK, "text/plain; charset=utf-8", []byte(p.page()))
			return nil
		}
	}
	return fail(problemNoSuchPath, "%.200q is no problem of this node", r.PathValue("slug"))
}

func (p Problem) page() string {
	retry := "no"
	if p.Retryable {
		retry = "yes"
	}
	return fmt.Sprintf("%s\n\nproblem    %s\nstatus     %d %s\nretryable  %s\nexit code  %d\n\n%s\n",
		p.Title, p.Slug, p.Status, http.StatusText(p.Status), retry, p.Exit, p.help)
}
