package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A control is a subject without one defence, and the steps by which a run must
// find that out.
type control struct {
	edits     []edit
	steps     []Step
	invariant int

	crowd  int // habits of the run, if they are others
	churn  time.Duration
	secret bool
}

// An edit replaces the one place in a file of the module that reads old. The build
// takes the edited file in place of the other: the tree is not touched.
type edit struct{ file, old, new string }

var flaps = []Step{{What: Abort, Node: 0, Peer: 1, Times: 10, For: 100 * time.Millisecond}, {What: Abort, Node: 1, Peer: 2, Times: 10, For: 100 * time.Millisecond}}

// calm is a time without a fault that costs anything.
var calm = []Step{{What: Grants, Node: 1, Peer: 0, Times: 4}}

var controls = map[string]control{
	"slots are compared by the whole id": {
		edits:     []edit{{"transport/table.go", "\treturn &table{\n", "\treturn &table{unguarded: true,\n"}},
		steps:     []Step{calm[0], calm[0], calm[0]},
		invariant: 1, crowd: 32, churn: 10 * time.Millisecond,
	},
	"frames are taken in turn": {
		edits: []edit{{"node/owner.go", "return c.ending(id, c.clients.Deliver(id, kindOf(kind), msg))", `
	msg = append([]byte(nil), msg...)
	time.AfterFunc(time.Duration(len(msg)%5)*20*time.Millisecond, func() { c.clients.Deliver(id, kindOf(kind), msg) })
	return nil`}},
		steps: calm, invariant: 2,
	},
	"frames that come again are skipped": {
		edits: []edit{{"cluster/mesh/inbound_lane.go", "if n.mesh.doubling {", "if true {"}},
		steps: flaps, invariant: 3,
	},
	"writes that are cut short go on": {
		edits: []edit{{"transport/calls_linux.go", "if len(p) > maxQuickWrite {\n\t\treturn unix.Write(int(fd), p)", `if len(p) > 1000 {
		_, err := unix.Write(int(fd), p[:1000])
		return len(p), err`}},
		steps: calm, invariant: 4,
	},
	"frames are sent again": {
		edits: []edit{
			{"cluster/mesh/lane_session.go", "l.log.rewind(w.nextSeq)", "l.log.rewind(l.sent + 1)"},
			{"cluster/mesh/inbound_lane.go", "if seq != n.next {", "if n.next = seq; false {"},
		},
		steps: flaps, invariant: 5,
	},
	"sessions outlive their streams": {
		edits: []edit{{"cluster/mesh/sessions.go", "|| m.forgetful", "|| true"}},
		steps: flaps, invariant: 6,
	},
	"written is said after the write": {
		edits: []edit{{"node/owner.go", "sent, err := track(id, kindOf(kind), msg)", `
	if len(msg)%3 == 0 {
		done(nil)
		return
	}
	sent, err := track(id, kindOf(kind), msg)`}},
		steps: calm, invariant: 6,
	},
	"ends are reported once": {
		edits: []edit{{"transport/lifecycle.go", "report := s.has(holdClose) && !s.has(flagReported)", "report := s.has(holdClose) && !s.has(flagReported) && id%2 == 0"}},
		steps: calm, invariant: 7, churn: 50 * time.Millisecond,
	},
	"numbers grow": {
		edits: []edit{{"idspace/number.go", "return max(last+1, NodeNumber(t)), nil", "return max(last+1, NodeNumber(t)) &^ 0xff, nil"}},
		steps: calm, invariant: 8,
	},
	"what is accepted before a drain arrives": {
		edits: []edit{{"node/owner.go", "return c.ending(id, c.clients.Deliver(id, kindOf(kind), msg))", `
	if len(msg)%3 == 0 {
		return nil
	}
	return c.ending(id, c.clients.Deliver(id, kindOf(kind), msg))`}},
		steps: []Step{{What: Draining, Node: 0, Peer: 1, For: 500 * time.Millisecond}}, invariant: 13,
	},
	"strangers have another key": {
		edits: []edit{{"cluster/trust/key.go", "hkdf.Key(sha256.New, k[:], nil,", "hkdf.Key(sha256.New, make([]byte, len(k)), nil,"}},
		steps: []Step{{What: Intruding, Node: 0, Peer: 1, For: 40 * time.Second}}, invariant: 16, secret: true,
	},
	"watches are told of ends": {
		edits: []edit{{"node/watches_heard.go", "\t\tw.endLocked(e.id, closedEvent(e.end))\n", `
		if e.id%2 == 0 {
			w.endLocked(e.id, closedEvent(e.end))
		}
`}},
		steps: calm, invariant: 18, churn: 50 * time.Millisecond,
	},
	"a publish reaches each member": {
		edits:     []edit{{"node/groups_publish.go", "case !include(id):", "case !include(id) || id%3 == 0:"}},
		steps:     calm,
		invariant: 19,
	},
	"ids go with their node's life": {
		edits:     []edit{{"cluster/locate.go", "case v.gone(n):", "case false:"}},
		steps:     append([]Step{{What: Kill, Node: 0, Peer: 1}}, slices.Repeat(calm, 8)...),
		invariant: 20,
	},
	"what is accepted is counted": {
		edits: []edit{{"transport/lifecycle.go", "t.totals.accepted.Add(1)", "_ = t.totals.accepted.Load()"}},
		steps: calm, invariant: 17,
	},
}

// apply returns the path of the file and its text with the edit.
func (e edit) apply() (path, text string, err error) {
	if path, err = filepath.Abs(filepath.Join("../..", e.file)); err != nil {
		return "", "", err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	if n := strings.Count(string(b), e.old); n != 1 {
		return "", "", fmt.Errorf("%s has %d places that read %q, want 1: the table of controls must follow the code", e.file, n, e.old)
	}
	return path, strings.Replace(string(b), e.old, e.new, 1), nil
}

// TestControlsFollowTheCode finds edits whose place is gone without root and
// networks, and so when the code is changed.
func TestControlsFollowTheCode(t *testing.T) {
	for name, c := range controls {
		for _, e := range c.edits {
			if _, _, err := e.apply(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
