package node

// relieved is told that a connection that was full takes messages again, or has
// ended: other nodes may send to it.
func (n *Node) relieved(id ID) {
	if n.member != nil {
		n.member.cluster().Relieve(id)
	}
}
