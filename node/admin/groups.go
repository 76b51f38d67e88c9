package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"flamingo/idspace"
	"flamingo/node"
)

// grouping is what a Handler needs of a node for groups and metadata.
type grouping interface {
	JoinGroup(id node.ID, group string) error
	LeaveGroup(id node.ID, group string) error
	Groups(id node.ID) ([]string, error)
	PublishAs(group string, kind node.Kind, msg []byte, except ...node.ID) (node.Published, error)
	CloseGroupWith(group string, code int, reason string) (node.Published, error)
	GroupMembers(ctx context.Context, group string, after node.ID, limit int) (node.MembersPage, error)
	AllGroups(ctx context.Context, after string, limit int) (node.GroupsPage, error)
	SetMeta(id node.ID, key, value string) error
}

// groupResources returns what is answered about groups and metadata.
func (h *Handler) groupResources() []*resource {
	return []*resource{
		{h: h, path: "/api/v1/groups", access: forBearers, methods: map[string]action{"GET": h.withNode(h.groups)}},
		{h: h, path: "/api/v1/groups/{group}", access: forBearers, methods: map[string]action{
			"GET":    h.withNode(h.members),
			"DELETE": h.withNode(h.closeGroup),
		}},
		{h: h, path: "/api/v1/groups/{group}/messages", access: forBearers, methods: map[string]action{"POST": h.withNode(h.publish)}},
		{h: h, path: "/api/v1/connections/{id}/groups", access: forBearers, methods: map[string]action{"GET": h.withNode(h.groupsOf)}},
		{h: h, path: "/api/v1/connections/{id}/groups/{group}", access: forBearers, methods: map[string]action{
			"PUT":    h.withNode(h.tie(target.JoinGroup)),
			"DELETE": h.withNode(h.tie(target.LeaveGroup)),
		}},
		{h: h, path: "/api/v1/connections/{id}/meta/{key}", access: forBearers, methods: map[string]action{
			"PUT":    h.withNode(h.setMeta),
			"DELETE": h.withNode(h.setMeta),
		}},
	}
}

// failedNode is a node that has not done its part, or has not answered.
type failedNode struct {
	Node    string          `json:"node,omitempty"`
	Number  node.NodeNumber `json:"number,omitzero"`
	Problem string          `json:"problem"` // the slug
}

func failedNodes(errs []*node.NodeError) (all []failedNode) {
	for _, e := range errs {
		all = append(all, failedNode{e.Node, e.Number, ProblemOf(e).Slug})
	}
	return all
}

// published is the answer to a message for a group, or to its end.
type published struct {
	Group   string       `json:"group"`
	Local   int          `json:"local"`
	Refused int          `json:"refused"`
	Nodes   int          `json:"nodes"`
	Failed  []failedNode `json:"failed,omitempty"`
}

func shownPublished(group string, p node.Published) published {
	return published{group, p.Local, p.Refused, p.Nodes, failedNodes(p.Failed)}
}

// publish answers POST /api/v1/groups/{group}/messages: the body is the message.
func (h *Handler) publish(n target, w http.ResponseWriter, r *http.Request) error {
	values, err := parametersOf(r, "except")
	if err != nil {
		return err
	}
	except, err := idsIn(values.Get("except"))
	if err != nil {
		return err
	}
	msg, done, err := h.takeMessage(w, r)
	if err != nil {
		return err
	}
	defer done()
	group := r.PathValue("group")
	p, err := n.PublishAs(group, kindOf(r.Header.Get("Content-Type")), msg, except...)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, shownPublished(group, p))
}

// idsIn reads ids with commas between them.
func idsIn(list string) (ids []node.ID, err error) {
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		id, err := idspace.ParseID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// closeGroup answers DELETE /api/v1/groups/{group}.
func (h *Handler) closeGroup(n target, w http.ResponseWriter, r *http.Request) error {
	values, err := parametersOf(r, "code", "reason")
	if err != nil {
		return err
	}
	code, err := closeCode(values)
	if err != nil {
		return err
	}
	group := r.PathValue("group")
	p, err := n.CloseGroupWith(group, code, values.Get("reason"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, shownPublished(group, p))
}

// memberPage is a part of the members of a group.
type memberPage struct {
	Group   string       `json:"group"`
	Count   int          `json:"count"`
	Items   []node.ID    `json:"items"`
	Next    node.ID      `json:"next,omitzero"`
	Missing []failedNode `json:"missing,omitempty"`
}

// members answers GET /api/v1/groups/{group}: those of all nodes.
func (h *Handler) members(n target, w http.ResponseWriter, r *http.Request) error {
	values, limit, err := pageParameters(r, 1000)
	if err != nil {
		return err
	}
	after := node.ID(0)
	if values.Has("cursor") {
		if after, err = idspace.ParseID(values.Get("cursor")); err != nil {
			return err
		}
	}
	group := r.PathValue("group")
	page, err := n.GroupMembers(r.Context(), group, after, limit)
	if err != nil {
		return err
	}
	if page.Members == nil {
		page.Members = []node.ID{}
	}
	return writeJSON(w, http.StatusOK, memberPage{group, page.Count, page.Members, page.Next, failedNodes(page.Missing)})
}

// groupPage is a part of the groups with members.
type groupPage struct {
	Items   []groupSize  `json:"items"`
	Next    string       `json:"next,omitempty"`
	Missing []failedNode `json:"missing,omitempty"`
}

type groupSize struct {
	Group string `json:"group"`
	Count int    `json:"count"`
}

// groups answers GET /api/v1/groups: those with members on any node.
func (h *Handler) groups(n target, w http.ResponseWriter, r *http.Request) error {
	values, limit, err := pageParameters(r, node.MaxGroupsPage)
	if err != nil {
		return err
	}
	page, err := n.AllGroups(r.Context(), values.Get("cursor"), limit)
	if err != nil {
		return err
	}
	answer := groupPage{Items: make([]groupSize, 0, len(page.Groups)), Next: page.Next, Missing: failedNodes(page.Missing)}
	for _, g := range page.Groups {
		answer.Items = append(answer.Items, groupSize{g.Name, g.Members})
	}
	return writeJSON(w, http.StatusOK, answer)
}

// pageParameters returns the parameters of a list.
func pageParameters(r *http.Request, most int) (values url.Values, limit int, err error) {
	if values, err = parametersOf(r, "limit", "cursor"); err != nil {
		return nil, 0, err
	}
	limit = defaultLimit
	if values.Has("limit") {
		limit, err = strconv.Atoi(values.Get("limit"))
		if err != nil || limit < 1 || limit > most {
			return nil, 0, fail(problemBadRequest, "limit=%.40q: allowed is 1 to %d", values.Get("limit"), most)
		}
	}
	return values, limit, nil
}

// groupsOf answers GET /api/v1/connections/{id}/groups.
func (h *Handler) groupsOf(n target, w http.ResponseWriter, r *http.Request) error {
	id, err := bareID(r)
	if err != nil {
		return err
	}
	groups, err := n.Groups(id)
	if err != nil {
		return err
	}
	if groups == nil {
		groups = []string{}
	}
	return writeJSON(w, http.StatusOK, map[string][]string{"groups": groups})
}

// bareID returns the id in the path of a request that has no parameters.
func bareID(r *http.Request) (node.ID, error) {
	id, err := idOf(r)
	if err == nil {
		_, err = parametersOf(r)
	}
	return id, err
}

// tie answers PUT and DELETE /api/v1/connections/{id}/groups/{group}.
func (h *Handler) tie(do func(n target, id node.ID, group string) error) func(target, http.ResponseWriter, *http.Request) error {
	return func(n target, w http.ResponseWriter, r *http.Request) error {
		id, err := bareID(r)
		if err != nil {
			return err
		}
		if err := do(n, id, r.PathValue("group")); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// setMeta answers PUT /api/v1/connections/{id}/meta/{key}, whose body is the value,
// and DELETE, which takes the key away.
func (h *Handler) setMeta(n target, w http.ResponseWriter, r *http.Request) error {
	id, err := bareID(r)
	if err != nil {
		return err
	}
	value := []byte(nil)
	if r.Method == http.MethodPut {
		body, done, err := h.takeMessage(w, r)
		if err != nil {
			return err
		}
		defer done()
		value = body
	}
	if err := n.SetMeta(id, r.PathValue("key"), string(value)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
