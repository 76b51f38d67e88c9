package admin

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"flamingo/idspace"
	"flamingo/node"
)

// member is a node of the cluster as it is shown.
type member struct {
	Name    string          `json:"name"`
	Number  node.NodeNumber `json:"number,omitzero"` // none while it joins
	State   string          `json:"state"`
	Role    string          `json:"role,omitempty"` // in granting numbers; none alone, or of one that is absent
	Self    bool            `json:"self"`
	Address string          `json:"cluster_address,omitempty"` // none alone
	Admin   string          `json:"admin_address,omitempty"`   // none if it shows none
	Link    string          `json:"link,omitempty"`            // none to itself
	RTT     int64           `json:"rtt_us,omitempty"`          // none before the first
	Version string          `json:"version,omitempty"`         // of Flamingo; none of one that is absent
	Speaks  *[2]int         `json:"protocol,omitempty"`        // likewise: least and greatest version
}

// memberList are the nodes; and alone that is all.
type memberList struct {
	Nodes     []member  `json:"nodes"`
	Trust     string    `json:"trust,omitempty"`
	Consensus *standing `json:"consensus,omitempty"`
	Warnings  []string  `json:"warnings,omitempty"`
}

// standing is the part of the node that is asked in granting numbers.
type standing struct {
	Role     string `json:"role"`
	Phase    string `json:"phase"`
	Leading  bool   `json:"leading"`
	Leader   bool   `json:"has_leader"`
	Reseated uint64 `json:"reseated"`
	Error    string `json:"error,omitempty"` // why it takes no part
}

// stand adds how the node that is asked stands in its cluster, and of what whoever
// looks after it is to be warned.
func (l *memberList) stand(s *node.ClusterStats) {
	l.Trust = s.TrustMode.String()
	l.Consensus = &standing{
		Role: s.Role.String(), Phase: s.Raft.Phase.String(), Leading: s.Raft.Leading,
		Leader: !s.Raft.Leader.IsZero(), Reseated: s.Reseated,
	}
	if s.ClearText {
		l.Warnings = append(l.Warnings, "nodes speak clear text, and whoever reaches the port between them can be one: "+
			"give all of them a key file, which flamingo keygen writes")
	}
	if s.Raft.Err != nil {
		l.Consensus.Error = s.Raft.Err.Error()
		l.Warnings = append(l.Warnings, "this node takes no part in granting numbers: "+l.Consensus.Error)
	}
}

// nodes answers GET /api/v1/nodes: those that this node sees, the oldest life
// first.
func (h *Handler) nodes(n target, w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	list := memberList{Nodes: members(n)}
	if stats, ok := n.ClusterStats(); ok {
		list.stand(&stats)
	}
	return writeJSON(w, http.StatusOK, list)
}

// members returns the nodes that n sees, the oldest life first.
func members(n target) []member {
	all := []member{}
	for _, i := range n.Nodes() {
		m := member{
			Name: i.Name, Number: i.Number, State: i.State, Role: i.Role, Self: i.Self,
			Address: i.Cluster, Admin: i.Admin, Link: i.Link, RTT: i.RTT.Microseconds(), Version: i.Version,
		}
		if i.Speaks != [2]int{} {
			m.Speaks = &i.Speaks
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	return all
}

// retire answers POST /api/v1/nodes/{number}/retire.
func (h *Handler) retire(n target, w http.ResponseWriter, r *http.Request) error {
	number, err := idspace.ParseNodeNumber(r.PathValue("number"))
	if err != nil {
		return fail(problemBadRequest, "node number: %v; allowed are nine hexadecimal digits, such as 01adc9000", err)
	}
	values, err := parametersOf(r, "anyway")
	if err != nil {
		return err
	}
	anyway, err := choice(values, "anyway", "false", "true")
	if err != nil {
		return err
	}
	switch err := n.Retire(r.Context(), number, anyway == "true"); {
	case errors.Is(err, node.ErrPresent):
		return fail(problemPresent, "%v", err)
	case errors.Is(err, node.ErrAlone):
		return fail(problemAlone, "%v", err)
	case err != nil:
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// parts is what an id says of itself.
type parts struct {
	ID         node.ID         `json:"id"`
	NodeNumber node.NodeNumber `json:"node_number"`
	Granted    string          `json:"granted_at"`
	Serial     idspace.Serial  `json:"serial"`
}

// decode answers GET /api/v1/ids/{id}. It asks nobody, and says nothing of a
// connection.
func (h *Handler) decode(_ target, w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	if _, err := parametersOf(r); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, parts{
		ID: id, NodeNumber: id.Node(), Granted: instant(idspace.Tick(id.Node()).Time()), Serial: id.Serial(),
	})
}
