package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// levelUnknown is the exit code of flamingo check when nobody could be asked, as
// Nagios has it.
const levelUnknown = 3

// checkCommand looks at a cluster, or at a machine, for a monitor.
type checkCommand struct {
	Cluster checkClusterCommand `cmd:"" default:"withargs" help:"Whether the cluster is well: exit code 0, 1 warning, 2 critical, 3 unknown, as Nagios has them."`
	Host    checkHostCommand    `cmd:"" help:"Whether a node would start on this machine, and what limits it: ports, files, kernel, clock, names."`
}

// checkClusterCommand is status for a monitor.
type checkClusterCommand struct {
	apiFlags

	Nodes int `placeholder:"N" help:"How many nodes are to be ready: fewer are critical. 0 is any number."`
}

// Help is the end of the help text.
func (*checkClusterCommand) Help() string {
	return `The first line is the verdict, with figures for plots behind |; then a line for each finding. ` +
		`The node at --addr lists the nodes, and each of them is asked at its own admin address.`
}

// A verdictError ends check with the exit code of a level. It has been told.
type verdictError struct{ level int }

func (v verdictError) Error() string { return fmt.Sprintf("the check ends with level %d", v.level) }

// Run prints the verdict.
func (c *checkClusterCommand) Run(ctx context.Context, con *console) error {
	if c.Nodes < 0 {
		return badUse("--nodes %d: want 0 or more", c.Nodes)
	}
	s, body, err := c.survey(ctx)
	if err != nil {
		if !c.JSON {
			fmt.Fprintf(con.out, "FLAMINGO UNKNOWN - %s\n", printable(err.Error()))
		}
		return toldError{verdictOf(levelUnknown, c.failed(con, body, err))}
	}
	found := worstFirst(append(s.findings(), s.tooFew(c.Nodes)...))
	level := worst(found)
	if c.JSON {
		err = json.NewEncoder(con.out).Encode(map[string]any{"level": levelNames[level], "findings": orEmpty(found)})
	} else {
		_, err = fmt.Fprintln(con.out, s.verdict(level, found))
	}
	if err != nil || level == levelOK {
		return err
	}
	return toldError{verdictError{level}}
}

// verdictOf is a verdict beside the error that led to it.
func verdictOf(level int, err error) error {
	return fmt.Errorf("%w: %w", verdictError{level}, err)
}

// tooFew finds that fewer nodes are ready than there should be.
func (s *survey) tooFew(want int) []finding {
	ready := s.ready()
	if ready >= want {
		return nil
	}
	return []finding{{
		Level: levelCritical, Name: levelNames[levelCritical],
		What: fmt.Sprintf("has %s ready of %d", plural(ready, "node"), want), Advice: "start the others",
	}}
}

// ready is how many nodes are ready.
func (s *survey) ready() int {
	ready := 0
	for i := range s.Nodes {
		if s.Nodes[i].State == "ready" {
			ready++
		}
	}
	return ready
}

// verdict is what a monitor shows: the level, what is worst, figures; then the
// findings.
func (s *survey) verdict(level int, found []finding) string {
	says := fmt.Sprintf("%d of %s ready, %.0f clients", s.ready(), plural(len(s.Nodes), "node"), s.total("connections"))
	if len(found) > 0 {
		says = strings.TrimSpace(found[0].Node+" "+found[0].What) + "; " + says
	}
	var b strings.Builder
	fmt.Fprintf(&b, "FLAMINGO %s - %s | nodes=%d ready=%d connections=%.0f send_queue_bytes=%.0f", strings.ToUpper(levelNames[level]),
		strings.ReplaceAll(says, "|", "/"), len(s.Nodes), s.ready(), s.total("connections"), s.total("send_queue_bytes"))
	for _, f := range found {
		fmt.Fprintf(&b, "\n%s: %s", f.Name, strings.TrimSpace(f.Node+" "+f.What))
		if f.Advice != "" {
			fmt.Fprintf(&b, " (%s)", f.Advice)
		}
	}
	return b.String()
}
