package cluster

import "flamingo/idspace"

// Relieve says that connection id, which Config.Press has said is full, takes
// messages again or has ended. It does not block.
func (c *Cluster) Relieve(id idspace.ID) { c.mesh.Relieve(id) }
