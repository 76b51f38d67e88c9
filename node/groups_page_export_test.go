package node

// GroupNames is a table of groups, one member each, for tests of its pages.
type GroupNames struct{ g *memberships }

// NewGroupNames returns a table of the groups of these names.
func NewGroupNames(names []string) (*GroupNames, error) {
	g := newMemberships(len(names), len(names), func(string, bool) {})
	for k, name := range names {
		if err := g.join(ID(k+1), name, func(ID) error { return nil }); err != nil {
			return nil, err
		}
	}
	return &GroupNames{g}, nil
}

// Page returns a page of them.
func (n *GroupNames) Page(after string, limit int) (groups []GroupSize, more bool) {
	return n.g.list(after, limit)
}
