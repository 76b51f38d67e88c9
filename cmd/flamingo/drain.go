package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"flamingo/node"
)

// silentDrain is how long a node that drains may say nothing: it does twice a second.
const silentDrain = 30 * time.Second

// drainCommand takes a node out of service.
type drainCommand struct {
	apiFlags

	Node       string         `placeholder:"NAME" help:"The node to drain, of those that the one at --addr sees; if nothing is said that one itself."`
	Wait       *time.Duration `placeholder:"TIME" help:"How long it goes on as before while /readyz says no; if nothing is said as its own --drain-wait."`
	Duration   *time.Duration `placeholder:"TIME" help:"Over how long it ends its connections; if nothing is said as its own --drain-duration."`
	Background bool           `help:"Do not wait for the end."`
}

// Help is the end of the help text.
func (*drainCommand) Help() string {
	return `The node accepts no more clients after the wait, ends the connections it has evenly over the duration, ` +
		`first those that are silent the longest, leaves its cluster, and ends. Nothing that it has accepted is lost. ` +
		`^C here leaves the drain as it is.`
}

// drainState is the answer of a node.
type drainState struct {
	Phase    node.DrainPhase `json:"phase"`
	Wait     int64           `json:"wait_ms"`
	Duration int64           `json:"duration_ms"`
	Began    time.Time       `json:"began_at"`
	Ending   time.Time       `json:"ending_at"`
	Departed int             `json:"departed"`
	Left     int             `json:"left"`
}

// Run begins the drain, and shows it until it is over. It listens before it asks:
// a node without clients may end at once.
func (c *drainCommand) Run(ctx context.Context, con *console) error {
	if err := c.find(ctx, con); err != nil {
		return err
	}
	var following *drainStream
	if !c.Background {
		var err error
		if following, err = c.listen(ctx, con); err != nil {
			return err
		}
		defer following.close()
	}
	body, err := c.call(ctx, request{method: http.MethodPost, path: "drain", query: c.plan()})
	switch {
	case err != nil:
		return c.failed(con, body, err)
	case !c.Background:
		return c.follow(following, con)
	case c.JSON:
		return printJSON(con.out, body)
	default:
		_, err = fmt.Fprintln(con.out, "draining; "+c.again("drain")+" shows how far it is")
		return err
	}
}

// plan are the times that were given.
func (c *drainCommand) plan() url.Values {
	query := url.Values{}
	if c.Wait != nil {
		query.Set("wait", c.Wait.String())
	}
	if c.Duration != nil {
		query.Set("duration", c.Duration.String())
	}
	return query
}

// find makes --addr that of the node of that name.
func (c *drainCommand) find(ctx context.Context, con *console) error {
	if c.Node == "" {
		return nil
	}
	body, err := c.call(ctx, request{method: http.MethodGet, path: "nodes"})
	if err != nil {
		return c.failed(con, body, err)
	}
	list, err := decode[nodeList](body)
	if err != nil {
		return err
	}
	var names []string
	found := 0
	for _, n := range list.Nodes {
		names = append(names, cmp.Or(n.Name, n.Number))
		if n.State == "absent" || n.Name != c.Node && n.Number != c.Node {
			continue
		}
		switch found++; {
		case n.Self:
		case n.Admin == "":
			return badUse("--node %s: it shows no admin address; ask it on its own machine, or with --addr", c.Node)
		default:
			c.Addr = n.Admin
		}
	}
	switch found {
	case 1:
		return nil
	case 0:
		return badUse("--node %s: there is none that is present; the nodes are %s", c.Node, strings.Join(names, ", "))
	default:
		return badUse("--node %s: %d have that name; give the number", c.Node, found)
	}
}

// A drainStream is what a node says of its drain, a line again and again.
type drainStream struct {
	ctx     context.Context
	cancel  context.CancelFunc
	silence *time.Timer // cancels
	body    io.ReadCloser
}

func (s *drainStream) close() {
	s.silence.Stop()
	s.cancel()
	s.body.Close()
}

// listen asks the node to say how its drain is.
func (c *drainCommand) listen(ctx context.Context, con *console) (*drainStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	silence := time.AfterFunc(silentDrain, cancel)
	stream, err := c.listenUntil(ctx, con)
	if err != nil {
		silence.Stop()
		cancel()
		return nil, err
	}
	return &drainStream{ctx, cancel, silence, stream}, nil
}

func (c *drainCommand) listenUntil(ctx context.Context, con *console) (io.ReadCloser, error) {
	r := request{method: http.MethodGet, path: "drain", query: url.Values{"follow": {"true"}}}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, c.noAnswer(r, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, c.noAnswer(r, err)
	}
	return nil, c.failed(con, body, problem(resp, body))
}

// follow shows what the node says until the drain is over.
func (c *drainCommand) follow(s *drainStream, con *console) error {
	show := drainView{con: con, json: c.JSON}
	rows := bufio.NewScanner(s.body)
	for rows.Scan() {
		s.silence.Reset(silentDrain)
		state, err := decode[drainState](rows.Bytes())
		if err != nil {
			return err
		}
		if state.Phase == node.DrainNone {
			continue // said before the node was asked
		}
		if err := show.row(rows.Bytes(), state); err != nil {
			return err
		}
		if state.Phase == node.DrainOver {
			return show.end(state)
		}
	}
	return c.broken(s.ctx, show.last, rows.Err())
}

// broken says what it means that the node says nothing more before the drain is over.
func (c *drainCommand) broken(ctx context.Context, last drainState, err error) error {
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("the drain of %s goes on, with %s left", c.Addr, plural(last.Left, "connection"))
	}
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(*net.OpError)) {
		return fmt.Errorf("%s has ended before it was drained, with %s left", c.Addr, plural(last.Left, "connection"))
	}
	return fmt.Errorf("%s says nothing more: %w", c.Addr, err)
}

// A drainView shows a drain: as JSON all that is said, on a terminal a bar that
// moves, elsewhere a line for each tenth.
type drainView struct {
	con    *console
	json   bool
	last   drainState
	tenths int  // that a line was printed for
	moved  bool // a bar stands on the terminal
}

func (v *drainView) row(line []byte, s drainState) error {
	before := v.last
	v.last = s
	switch {
	case v.json:
		return printJSON(v.con.out, line)
	case isTerminal(v.con.out):
		v.moved = true
		_, err := fmt.Fprintf(v.con.out, "\r\x1b[K%s %s", s.bar(30), s.text())
		return err
	}
	tenths := 0
	if all := s.Departed + s.Left; all > 0 {
		tenths = 10 * s.Departed / all
	}
	if s.Phase == before.Phase && tenths == v.tenths {
		return nil
	}
	v.tenths = tenths
	_, err := fmt.Fprintln(v.con.out, s.text())
	return err
}

// end says that the drain is over.
func (v *drainView) end(s drainState) error {
	if v.json {
		return nil
	}
	if v.moved {
		fmt.Fprintln(v.con.out)
	}
	if s.Left > 0 {
		return fmt.Errorf("the node was closed before it was drained, with %s left", plural(s.Left, "connection"))
	}
	return nil
}

// bar is a bar of so many characters, as full as the drain is far.
func (s drainState) bar(width int) string {
	full := 0
	if all := s.Departed + s.Left; all > 0 {
		full = width * s.Departed / all
	} else if s.Phase == node.DrainOver {
		full = width
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

func (s drainState) text() string {
	clients := fmt.Sprintf("%s departed, %d left", plural(s.Departed, "connection"), s.Left)
	switch s.Phase {
	case node.DrainWaiting:
		return fmt.Sprintf("waiting %v, new clients are served: %s", inMilliseconds(s.Wait), clients)
	case node.DrainEnding:
		return fmt.Sprintf("ending connections over %v: %s", inMilliseconds(s.Duration), clients)
	case node.DrainOver:
		return "drained: " + clients
	case node.DrainNone:
	}
	return "serving: " + clients
}

func inMilliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
