package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"flamingo/cluster/mesh"
)

// A MembersPage is a part of the members of a group.
type MembersPage struct {
	Members []ID         // ascending
	Count   int          // how many there are in all
	Next    ID           // behind which the next page begins; zero after the last
	Missing []*NodeError // nodes that did not answer: their members are not among these
}

// GroupMembers returns the members of a group on all nodes, by id: the lowest
// behind after, at most limit (1 to 1,000). After is zero to begin with, then
// MembersPage.Next; a connection that is a member throughout, at nodes that
// answer, is listed exactly once. It asks every node of the cluster and waits at
// most 5 s, or until ctx is done; nodes that do not answer are named.
func (n *Node) GroupMembers(ctx context.Context, group string, after ID, limit int) (MembersPage, error) {
	if limit < 1 || limit > maxPage {
		return MembersPage{}, badOption("limit", limit, "1 to "+strconv.Itoa(maxPage))
	}
	pages, missing, err := n.askMembers(ctx, membersRequest{after, limit, group})
	page := MembersPage{Missing: missing}
	more := false
	for _, p := range pages {
		page.Members = append(page.Members, p.ids...)
		page.Count += p.total
		more = more || p.more
	}
	slices.Sort(page.Members)
	if len(page.Members) > limit {
		page.Members, more = page.Members[:limit], true
	}
	if last := len(page.Members) - 1; more && last >= 0 {
		page.Next = page.Members[last]
	}
	return page, err
}

// GroupCount returns how many members a group has on all nodes but those missing,
// which did not answer. It asks and waits as GroupMembers does.
func (n *Node) GroupCount(ctx context.Context, group string) (count int, missing []*NodeError, err error) {
	pages, missing, err := n.askMembers(ctx, membersRequest{name: group})
	for _, p := range pages {
		count += p.total
	}
	return count, missing, err
}

func (n *Node) askMembers(ctx context.Context, q membersRequest) (pages []membersPage, missing []*NodeError, err error) {
	if err := checkGroup(q.name); err != nil {
		return nil, nil, err
	}
	var own membersPage
	own.ids, own.total, own.more = n.groups.members.page(q.name, q.after, q.limit)
	return askAll(ctx, n, own, mesh.RequestMembers, q.encode(), decodeMembersPage)
}

// MaxGroupsPage is the most that one page of AllGroups has.
const MaxGroupsPage = groupsPerAnswer

// A GroupsPage is a part of the groups that have members.
type GroupsPage struct {
	Groups  []GroupSize  // by name
	Next    string       // behind which the next page begins; empty after the last
	Missing []*NodeError // nodes that did not answer: their members do not count in these
}

// AllGroups returns the groups that have members on any node, by name: the first
// behind after, at most limit (1 to 400). It asks and waits as GroupMembers does.
func (n *Node) AllGroups(ctx context.Context, after string, limit int) (GroupsPage, error) {
	if limit < 1 || limit > groupsPerAnswer {
		return GroupsPage{}, badOption("limit", limit, "1 to "+strconv.Itoa(groupsPerAnswer))
	}
	if after != "" {
		if err := checkGroup(after); err != nil {
			return GroupsPage{}, err
		}
	}
	var own groupList
	own.groups, own.more = n.groups.members.list(after, limit)
	lists, missing, err := askAll(ctx, n, own, mesh.RequestGroups, encodeGroupsRequest(after, limit), decodeGroupList)
	page := GroupsPage{Missing: missing}
	more := false
	for _, l := range lists {
		page.Groups = append(page.Groups, l.groups...)
		more = more || l.more
	}
	page.Groups = merged(page.Groups)
	if len(page.Groups) > limit {
		page.Groups, more = page.Groups[:limit], true
	}
	if last := len(page.Groups) - 1; more && last >= 0 {
		page.Next = page.Groups[last].Name
	}
	return page, err
}

type groupList struct {
	groups []GroupSize
	more   bool
}

func decodeGroupList(b []byte) (l groupList, err error) {
	l.groups, l.more, err = decodeGroupSizes(b)
	return l, err
}

// merged sorts groups by name and adds up those of one name.
func merged(groups []GroupSize) (all []GroupSize) {
	slices.SortFunc(groups, func(a, b GroupSize) int { return cmp.Compare(a.Name, b.Name) })
	for _, g := range groups {
		if k := len(all) - 1; k >= 0 && all[k].Name == g.Name {
			all[k].Members += g.Members
		} else {
			all = append(all, g)
		}
	}
	return all
}

// askAll asks every other node of the cluster at the same time, for at most
// tieTimeout, and returns own with the answers, and who has not answered.
func askAll[T any](ctx context.Context, n *Node, own T, kind mesh.RequestKind, body []byte, decode func([]byte) (T, error)) (answers []T, missing []*NodeError, err error) {
	if n.closed.Load() {
		return nil, nil, ErrClosed
	}
	answers = append(answers, own)
	if n.member == nil {
		return answers, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tieTimeout)
	defer cancel()
	var asking sync.WaitGroup
	var mu sync.Mutex // of answers and missing
	for _, life := range n.member.cluster().Nodes() {
		if life.Self || len(life.Numbers) == 0 {
			continue // it has no connection
		}
		asking.Go(func() {
			var answer T
			var reply []byte
			err := mesh.ErrUnreachable
			if life.Present {
				reply, err = n.member.cluster().Mesh().Request(ctx, life.Boot, kind, body)
			}
			if err == nil {
				answer, err = decode(reply)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				answers = append(answers, answer)
			} else {
				missing = append(missing, &NodeError{life.Name, slices.Max(life.Numbers), fmt.Errorf("%w: %w", ErrUnreachable, err)})
			}
		})
	}
	asking.Wait()
	slices.SortFunc(missing, func(a, b *NodeError) int { return cmp.Compare(a.Number, b.Number) })
	return answers, missing, nil
}
