package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"flamingo/idspace"
	"flamingo/node"
)

// operations are all that take an id.
var operations = []struct {
	name, op string
	do       func(n *node.Node, id node.ID) error
}{
	{"SendData", "send", func(n *node.Node, id node.ID) error { return n.SendData(id, []byte("x")) }},
	{"Send", "send", func(n *node.Node, id node.ID) error { return n.Send(context.Background(), id, []byte("x")) }},
	{"SendMany", "send", func(n *node.Node, id node.ID) error { return n.SendMany([]node.ID{id}, []byte("x"))[0] }},
	{"SendManyLong", "send", func(n *node.Node, id node.ID) error { return n.SendMany([]node.ID{id}, make([]byte, 1000))[0] }},
	{"SendClose", "close", func(n *node.Node, id node.ID) error { return n.SendClose(id) }},
	{"Disconnect", "close", func(n *node.Node, id node.ID) error { return n.Disconnect(id) }},
	{"Describe", "describe", func(n *node.Node, id node.ID) error {
		info, err := n.Describe(context.Background(), id)
		if (err == nil) != (info.ID == id) {
			return fmt.Errorf("%+v with error %w", info, err)
		}
		return err
	}},
}

// expectOutcome asks for each operation on id and wants that outcome of each.
func expectOutcome(t *testing.T, n *node.Node, what string, id node.ID, want error) {
	t.Helper()
	for _, o := range operations {
		err := o.do(n, id)
		if !errors.Is(err, want) {
			t.Errorf("%s of %s %s: %v, want %v", o.name, what, id, err, want)
			continue
		}
		var opErr *node.OpError
		if !errors.As(err, &opErr) || opErr.Op != o.op || opErr.ID != id {
			t.Errorf("%s of %s: error %#v, want an OpError with op %q and id %s", o.name, what, err, o.op, id)
		} else if text := err.Error(); !strings.Contains(text, o.op) || !strings.Contains(text, id.String()) {
			t.Errorf("%s of %s: error %q names not both, op %q and id %s", o.name, what, text, o.op, id)
		}
	}
}

func mustID(t *testing.T, number node.NodeNumber, serial idspace.Serial) node.ID {
	t.Helper()
	id, err := idspace.NewID(number, serial)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestOutcomeOfEachKindOfID(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		c, ended := connectID(t, n)
		if ended.Node() != n.Number() {
			t.Fatalf("id %s under number %s", ended, n.Number())
		}
		c.Close()
		recvClose(t, n)

		for _, serial := range []idspace.Serial{1, 2, idspace.MaxSerial} {
			expectOutcome(t, n, "a later number", mustID(t, n.Number()+1, serial), node.ErrNeverIssued)
			expectOutcome(t, n, "the last number", mustID(t, idspace.MaxNumber, serial), node.ErrNeverIssued)
			expectOutcome(t, n, "an earlier number", mustID(t, n.Number()-1, serial), node.ErrGone)
			expectOutcome(t, n, "the first number", mustID(t, 1, serial), node.ErrGone)
		}
		expectOutcome(t, n, "a closed", ended, node.ErrGone)
		expectOutcome(t, n, "the next", ended+1, node.ErrNeverIssued)
		expectOutcome(t, n, "the last own", mustID(t, n.Number(), idspace.MaxSerial), node.ErrNeverIssued)
		for _, id := range []node.ID{0, 1, idspace.ID(idspace.MaxSerial), idspace.ID(n.Number()) << idspace.SerialBits} {
			expectOutcome(t, n, "an invalid", id, node.ErrBadID)
		}

		// What is open answers nil, what was ended by us ErrGone.
		open, id := connectID(t, n)
		for _, o := range operations {
			if o.op == "close" {
				continue
			}
			if err := o.do(n, id); err != nil {
				t.Errorf("%s: %v", o.name, err)
			}
		}
		for _, line := range []string{"x", "x", "x", strings.Repeat("\x00", 1000)} {
			open.expect(line)
		}
		if err := n.SendClose(id); err != nil {
			t.Errorf("SendClose: %v", err)
		}
		expectOutcome(t, n, "a condemned", id, node.ErrGone)
		open.expectEnd()
	})
}

func TestEveryOperationAnswersErrClosedOnceTheNodeIsClosed(t *testing.T) {
	n := start(t, lines())
	_, id := connectID(t, n)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Close: %v", err)
	}
	expectOutcome(t, n, "an open", id, node.ErrClosed)
	expectOutcome(t, n, "the next", id+1, node.ErrClosed)
	expectOutcome(t, n, "an earlier number", mustID(t, n.Number()-1, 1), node.ErrClosed)
	expectOutcome(t, n, "a later number", mustID(t, n.Number()+1, 1), node.ErrClosed)
	expectOutcome(t, n, "an invalid", 0, node.ErrBadID)
}

func TestNumberDoesNotAllocate(t *testing.T) {
	n := start(t, lines())
	if got := testing.AllocsPerRun(100, func() { n.Number() }); got != 0 {
		t.Errorf("Number allocates %v times, want 0", got)
	}
}

func TestSendManyAnswersForEachIDInItsPlace(t *testing.T) {
	n := start(t, lines())
	a, idA := connectID(t, n)
	b, idB := connectID(t, n)
	c, idC := connectID(t, n)
	c.Close()
	recvClose(t, n)
	ids := []node.ID{0, idA, mustID(t, n.Number()+1, 1), idB, idC, idA, mustID(t, n.Number()-1, 1), idC + 1}
	want := []error{node.ErrBadID, nil, node.ErrNeverIssued, nil, node.ErrGone, nil, node.ErrGone, node.ErrNeverIssued}
	results := n.SendMany(ids, []byte("to many"))
	if len(results) != len(ids) {
		t.Fatalf("%d results for %d ids", len(results), len(ids))
	}
	for i, err := range results {
		if (err == nil) != (want[i] == nil) || !errors.Is(err, want[i]) {
			t.Errorf("result %d: %v, want %v", i, err, want[i])
		}
		var opErr *node.OpError
		if err != nil && (!errors.As(err, &opErr) || opErr.ID != ids[i] || opErr.Op != "send") {
			t.Errorf("result %d: %#v, want an OpError of id %s", i, err, ids[i])
		}
	}
	a.expect("to many")
	a.expect("to many")
	b.expect("to many")
	if results := n.SendMany(nil, []byte("x")); len(results) != 0 {
		t.Errorf("%d results for no id", len(results))
	}
}

func TestSendWhoseContextIsDoneAnswersErrExpiredAndTheCause(t *testing.T) {
	n := start(t, lines())
	c, id := connectID(t, n)
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	err := n.Send(ctx, id, []byte("x"))
	if !errors.Is(err, node.ErrExpired) || !errors.Is(err, cause) {
		t.Errorf("Send: %v", err)
	}
	if err := n.Send(context.Background(), id, []byte("y")); err != nil {
		t.Errorf("Send: %v", err)
	}
	c.expect("y")
	if err := n.SendData(id, []byte("a\nb")); !errors.Is(err, node.ErrUnframeable) {
		t.Errorf("SendData of two lines: %v", err)
	}
}
