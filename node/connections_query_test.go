package node_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"flamingo/node"
)

// allConnections lists the connections of all nodes, page by page, each once.
func allConnections(t *testing.T, n *node.Node, limit int) (listed map[node.ID]bool, missing []*node.NodeError) {
	t.Helper()
	listed = make(map[node.ID]bool)
	for cursor, pages := "", 0; ; pages++ {
		page, err := n.ClusterConnections(t.Context(), cursor, limit)
		if err != nil || len(page.Items) > limit || pages > 1000 {
			t.Fatalf("page %d from %q: %d items, %v", pages, cursor, len(page.Items), err)
		}
		missing = append(missing, page.Missing...)
		for _, c := range page.Items {
			if listed[c.ID] {
				t.Errorf("%v is listed twice", c.ID)
			}
			listed[c.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			return listed, missing
		}
	}
}

// openAnswering is openAll, and waits until every node answers every other: a link that
// was up before the cluster was founded says for a moment that an end has no cluster.
func openAnswering(t *testing.T, opts []node.Opts) []*node.Node {
	t.Helper()
	nodes := openAll(t, opts)
	for _, n := range nodes {
		until(t, "every node to answer", func() bool {
			page, err := n.ClusterConnections(t.Context(), "", 1000)
			return err == nil && len(page.Missing) == 0
		})
	}
	return nodes
}

func TestConnectionsOfAllNodesAreListedOnce(t *testing.T) {
	nodes := openAnswering(t, fabric(t))
	open := make(map[node.ID]bool)
	for k, n := range nodes {
		for i := range 3 + 5*k {
			_, id := connectID(t, n)
			open[id] = true
			if i == 0 { // what is noted comes along
				if err := n.SetMeta(id, "user", fmt.Sprint(k)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for k, n := range nodes {
		for _, limit := range []int{1, 4, 1000} {
			listed, missing := allConnections(t, n, limit)
			if len(missing) > 0 {
				t.Errorf("node %d, %d a page: missing %v", k, limit, missing)
			}
			if len(listed) != len(open) {
				t.Errorf("node %d, %d a page: %d listed, %d open", k, limit, len(listed), len(open))
			}
			for id := range open {
				if !listed[id] {
					t.Errorf("node %d, %d a page: %v is not listed", k, limit, id)
				}
			}
		}
	}
	page, err := nodes[0].ClusterConnections(t.Context(), "", 1000)
	noted := 0
	for _, c := range page.Items {
		if c.Meta["user"] != "" {
			noted++
		}
	}
	if err != nil || noted != 3 {
		t.Errorf("%d connections come with what is noted of them, want 3; %v", noted, err)
	}
}

func TestAnswersOfConnectionsFitWhateverIsNoted(t *testing.T) {
	opts := fabric(t)
	for i := range opts {
		opts[i].MetaBytes = node.MaxMetaBytes
	}
	nodes := openAnswering(t, opts)
	for range 20 {
		_, id := connectID(t, nodes[1])
		if err := nodes[1].SetMeta(id, "notes", strings.Repeat("<", node.MaxMetaBytes-100)); err != nil { // 6 bytes each in JSON
			t.Fatal(err)
		}
	}
	if listed, missing := allConnections(t, nodes[0], 1000); len(listed) != 20 || len(missing) > 0 {
		t.Errorf("%d listed, %v missing; want 20", len(listed), missing)
	}
}

func TestListOfConnectionsRefusesWhatIsNone(t *testing.T) {
	n := start(t, lines())
	for _, limit := range []int{0, -1, 1001} {
		if _, err := n.ClusterConnections(t.Context(), "", limit); !errors.Is(err, node.ErrBadOption) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	for _, cursor := range []string{"x", "000000001", "000000001.", ".1", "000000001.x", "1.1", "000000001.100000000", "000000000.1"} {
		if _, err := n.ClusterConnections(t.Context(), cursor, 1); !errors.Is(err, node.ErrBadOption) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	_, id := connectID(t, n)
	if page, err := n.ClusterConnections(t.Context(), "", 2); err != nil || len(page.Items) != 1 || page.Items[0].ID != id || page.Next != "" {
		t.Errorf("alone: %+v, %v", page, err)
	}
}

func FuzzDecodeConnections(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff})
	one := `{"id":"01adc9000000002a","local":"","remote":""}`
	f.Add(append(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, uint32(len(one))), one...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := node.DecodeConnections(b); err == nil && n > len(b)/4 {
			t.Errorf("%d connections of %d bytes", n, len(b))
		}
	})
}
