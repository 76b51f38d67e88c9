package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"flamingo/node"
	"flamingo/node/admin"
)

func (f *fake) JoinGroup(id node.ID, group string) error {
	return f.note(call{op: "join " + group, id: id})
}

func (f *fake) LeaveGroup(id node.ID, group string) error {
	return f.note(call{op: "leave " + group, id: id})
}

func (f *fake) Groups(id node.ID) ([]string, error) {
	return nil, f.note(call{op: "groups of", id: id})
}

func (f *fake) PublishAs(group string, kind node.Kind, msg []byte, except ...node.ID) (node.Published, error) {
	err := f.note(call{op: fmt.Sprintf("publish to %s except %v", group, except), msg: string(msg), kind: kind})
	return node.Published{Local: 2, Refused: 1, Nodes: 1, Failed: []*node.NodeError{{Node: "cedar", Number: 7, Err: node.ErrUnreachable}}}, err
}

func (f *fake) CloseGroupWith(group string, code int, reason string) (node.Published, error) {
	return node.Published{}, f.note(call{op: fmt.Sprintf("close group %s %d %q", group, code, reason)})
}

func (f *fake) GroupMembers(_ context.Context, group string, after node.ID, limit int) (node.MembersPage, error) {
	return node.MembersPage{}, f.note(call{op: fmt.Sprint("members of ", group, after, limit)})
}

func (f *fake) AllGroups(_ context.Context, after string, limit int) (node.GroupsPage, error) {
	return node.GroupsPage{}, f.note(call{op: fmt.Sprint("all groups ", after, limit)})
}

func (f *fake) SetMeta(id node.ID, key, value string) error {
	return f.note(call{op: "set metadata " + key, id: id, msg: value})
}

type memberPage struct {
	Group string    `json:"group"`
	Count int       `json:"count"`
	Items []node.ID `json:"items"`
	Next  node.ID   `json:"next"`
}

func TestGroupsOverHTTP(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	c1, one := connect(t, n)
	c2, two := connect(t, n)
	path := func(id node.ID) string { return "/api/v1/connections/" + id.String() }
	for _, id := range []node.ID{one, two} {
		a.expect("PUT", path(id)+"/groups/room%2F7", "", http.StatusNoContent, "")
	}
	a.expect("PUT", path(one)+"/groups/user%2F42", "", http.StatusNoContent, "")
	a.expect("PUT", path(one)+"/meta/user", "42", http.StatusNoContent, "")

	var of struct {
		Groups []string `json:"groups"`
	}
	a.get(path(one)+"/groups", &of)
	if strings.Join(of.Groups, " ") != "room/7 user/42" {
		t.Errorf("groups %q", of.Groups)
	}
	var all struct {
		Items []struct {
			Group string `json:"group"`
			Count int    `json:"count"`
		} `json:"items"`
		Next string `json:"next"`
	}
	a.get("/api/v1/groups?limit=1", &all)
	if fmt.Sprint(all) != "{[{room/7 2}] room/7}" {
		t.Errorf("first page of groups %+v", all)
	}
	var members memberPage
	a.get("/api/v1/groups/room%2F7?limit=1", &members)
	if members.Count != 2 || len(members.Items) != 1 || members.Items[0] != one || members.Next != one {
		t.Errorf("first page of members %+v, want %v of two", members, one)
	}
	members = memberPage{}
	a.get("/api/v1/groups/room%2F7?limit=1&cursor="+one.String(), &members)
	if len(members.Items) != 1 || members.Items[0] != two || members.Next != 0 {
		t.Errorf("last page of members %+v, want %v", members, two)
	}

	got := a.expect("POST", "/api/v1/groups/room%2F7/messages?except="+two.String(), "hello", http.StatusAccepted, "")
	if want := `{"group":"room/7","local":1,"refused":0,"nodes":0}` + "\n"; got.body != want {
		t.Errorf("published %s, want %s", got.body, want)
	}
	c1.expect("hello")
	info := a.do("GET", path(one), "")
	if !strings.Contains(info.body, `"meta":{"user":"42"}`) {
		t.Errorf("description %s, want the metadata", info.body)
	}
	a.expect("DELETE", path(one)+"/meta/user", "", http.StatusNoContent, "")
	if meta, err := n.Meta(t.Context(), one); err != nil || len(meta) != 0 {
		t.Errorf("metadata %v, %v; want none", meta, err)
	}
	a.expect("DELETE", path(two)+"/groups/room%2F7", "", http.StatusNoContent, "")
	a.expect("DELETE", "/api/v1/groups/room%2F7", "", http.StatusOK, "")
	c1.expectEnd()
	if err := n.SendData(two, []byte("still there")); err != nil {
		t.Error(err)
	}
	c2.expect("still there")
}

func TestGroupRequestsAreRefusedForWhatTheyAre(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	_, id := connect(t, n)
	path := "/api/v1/connections/" + id.String()
	for _, c := range []struct {
		method, target string
		status         int
		slug           string
	}{
		{"PUT", path + "/groups/a%0Ab", 400, "bad-group"},
		{"PUT", path + "/groups/a?b=c", 400, "bad-request"},
		{"PUT", "/api/v1/connections/x/groups/a", 400, "bad-id"},
		{"PUT", "/api/v1/connections/" + (id + 1).String() + "/groups/a", 404, "never-issued"},
		{"PUT", path + "/meta/" + strings.Repeat("k", 65), 400, "bad-group"},
		{"POST", "/api/v1/groups/a/messages?except=x", 400, "bad-id"},
		{"GET", "/api/v1/groups/a?limit=1001", 400, "bad-request"},
		{"GET", "/api/v1/groups?limit=0", 400, "bad-request"},
		{"GET", "/api/v1/groups/a?cursor=x", 400, "bad-id"},
		{"DELETE", "/api/v1/groups/a?code=1005", 400, "bad-close-code"},
	} {
		a.expect(c.method, c.target, "", c.status, c.slug)
	}
	for k := range node.DefaultGroupsPerConn {
		a.expect("PUT", fmt.Sprint(path, "/groups/", k), "", http.StatusNoContent, "")
	}
	a.expect("PUT", path+"/groups/more", "", http.StatusConflict, "limit")
	a.expect("PUT", path+"/groups/more", "", http.StatusForbidden, "cross-origin", with("Sec-Fetch-Site", "cross-site"))
}

func TestPublishedNamesTheNodesThatFailed(t *testing.T) {
	f := &fake{}
	h := newHandler(t, admin.Config{})
	h.AttachTarget(f)
	a := serve(t, h)
	got := a.expect("POST", "/api/v1/groups/g/messages", "x", http.StatusAccepted, "", with("Content-Type", "text/plain"))
	want := `{"group":"g","local":2,"refused":1,"nodes":1,"failed":[{"node":"cedar","number":"000000007","problem":"unreachable"}]}` + "\n"
	if got.body != want {
		t.Errorf("answer %s, want %s", got.body, want)
	}
	if calls := f.taken(); len(calls) != 1 || calls[0].op != "publish to g except []" || calls[0].msg != "x" || calls[0].kind != node.KindText {
		t.Errorf("calls %+v", calls)
	}
	f.err = node.ErrClosed
	a.expect("POST", "/api/v1/groups/g/messages", "x", http.StatusServiceUnavailable, "closed")
}
