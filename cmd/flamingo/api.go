package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"flamingo/node"
	"flamingo/node/admin"
)

const (
	// maxAnswer bounds an answer of the admin API, in bytes: a page of a
	// thousand connections is below 1 MiB.
	maxAnswer = 16 << 20

	// apiTimeout bounds a call, beside the time that it asks the node to take:
	// a close may wait 5 s for another node.
	apiTimeout = 10 * time.Second

	// askFirst is the length of a body, in bytes, over which a node is asked
	// whether it would take that much: a node that would not breaks off the
	// connection, and its answer may be lost to a client that is still writing.
	askFirst = 64 << 10
)

// apiFlags are the flags of every command that asks a node.
type apiFlags struct {
	Addr      string `group:"admin" env:"FLAMINGO_ADDR" default:"127.0.0.1:4180" help:"Admin address of a node, of whichever."`
	TokenFile string `group:"admin" env:"FLAMINGO_TOKEN_FILE" placeholder:"FILE" help:"File with the token that it asks for; the token itself may be in $$FLAMINGO_TOKEN."`
	JSON      bool   `group:"admin" short:"j" help:"Print JSON."`
}

// again is what to type to ask the same node something else: with the flags that
// said which, unless the environment does.
func (f *apiFlags) again(command string) string {
	words := []string{program(), command}
	if f.Addr != cmp.Or(os.Getenv("FLAMINGO_ADDR"), defaultAdmin) {
		words = append(words, "--addr", f.Addr)
	}
	if f.TokenFile != os.Getenv("FLAMINGO_TOKEN_FILE") {
		words = append(words, "--token-file", f.TokenFile)
	}
	return strings.Join(words, " ")
}

// A request is one call of the admin API.
type request struct {
	method string
	path   string // below /api/v1/, escaped
	query  url.Values
	body   []byte
	media  string        // type of the body; empty to say nothing of it
	takes  time.Duration // what the node may take for it, at most
}

// call returns the body of the answer. An error matches an outcome of package
// node: that of the node's own answer, ErrUnreachable if the call did not reach
// it, and ErrUncertain if nobody knows what became of it.
func (f *apiFlags) call(ctx context.Context, r request) ([]byte, error) {
	req, err := f.newRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	client := http.Client{
		Timeout: apiTimeout + r.takes,
		Transport: &http.Transport{ // one call, and to that very address
			DisableKeepAlives:     true,
			ExpectContinueTimeout: apiTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, f.noAnswer(r, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode >= 300:
		return body, problem(resp, body)
	case err != nil:
		return nil, f.noAnswer(r, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("%s answers with more than %d bytes", f.Addr, maxAnswer)
	}
	return body, nil
}

func (f *apiFlags) newRequest(ctx context.Context, r request) (*http.Request, error) {
	base := f.Addr
	if strings.HasPrefix(base, ":") {
		base = "127.0.0.1" + base // a port alone is one of this machine
	}
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	target := strings.TrimSuffix(base, "/") + "/api/v1/" + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, badUse("--addr %s: want HOST:PORT", f.Addr)
	}
	if r.media != "" {
		req.Header.Set("Content-Type", r.media)
	}
	if len(r.body) > askFirst {
		req.Header.Set("Expect", "100-continue")
	}
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

func (f *apiFlags) token() (string, error) {
	if f.TokenFile == "" {
		return strings.TrimSpace(os.Getenv("FLAMINGO_TOKEN")), nil
	}
	return readToken(f.TokenFile)
}

// maxToken bounds a token, in bytes.
const maxToken = 4096

// readToken returns the token that a file holds, or of several the first.
func readToken(path string) (string, error) {
	tokens, err := readTokens(path)
	if err != nil {
		return "", err
	}
	return tokens[0].Token, nil
}

// noAnswer says what it means that a call failed below HTTP: a connection that
// was never made carried nothing.
func (f *apiFlags) noAnswer(r request, err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // without the URL, which is ours
	}
	var op *net.OpError
	switch dialed := errors.As(err, &op) && op.Op == "dial"; {
	case dialed && isRefused(err):
		return unreachable{fmt.Errorf("no node at %s - start one: %s run", f.Addr, program())}
	case dialed:
		return unreachable{fmt.Errorf("no node at %s: %w", f.Addr, err)}
	case r.method == http.MethodGet:
		return unreachable{fmt.Errorf("no answer from %s: %w", f.Addr, err)}
	default:
		return fmt.Errorf("%w: no answer from %s: %w", node.ErrUncertain, f.Addr, err)
	}
}

// unreachable is a failure that matches node.ErrUnreachable without its words.
type unreachable struct{ error }

func (u unreachable) Unwrap() []error { return []error{u.error, node.ErrUnreachable} }

// A problemError is an answer that says why something is not done: RFC 9457.
type problemError struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// problem reads the body of an answer that is no success.
func problem(resp *http.Response, body []byte) error {
	p := &problemError{}
	if json.Unmarshal(body, p) != nil || p.Type == "" {
		return fmt.Errorf("the answer is %s, from something else than a node", resp.Status)
	}
	return p
}

// kind is what package admin knows of the problem: nothing more than the exit
// code of a failure, if it comes from a later release.
func (p *problemError) kind() admin.Problem {
	problems := admin.Problems()
	i := slices.IndexFunc(problems, func(known admin.Problem) bool { return known.Type() == p.Type })
	if i < 0 {
		return admin.Problem{Slug: p.Type, Exit: exitFailed}
	}
	return problems[i]
}

// Error leads with the name of the problem, for whoever reads the first word.
func (p *problemError) Error() string { return p.kind().Slug + ": " + p.Detail }

// Unwrap returns the outcome, nil if the problem is none.
func (p *problemError) Unwrap() error { return p.kind().Outcome }

// decode reads the JSON of an answer.
func decode[T any](body []byte) (T, error) {
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return v, fmt.Errorf("answer of the node: %w", err)
	}
	return v, nil
}

// printJSON writes an answer as one line.
func printJSON(w io.Writer, body []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		return fmt.Errorf("answer of the node: %w", err)
	}
	line.WriteByte('\n')
	_, err := w.Write(line.Bytes())
	return err
}

// failed prints the problem with --json, and returns it.
func (f *apiFlags) failed(con *console, body []byte, err error) error {
	if f.JSON && errors.As(err, new(*problemError)) {
		return errors.Join(err, printJSON(con.out, body))
	}
	return err
}
