package cluster

// TrustCopies has this node, while it leads, grant to a copy of a directory
// whose original is up.
func (c *Cluster) TrustCopies() { c.trustCopies.Store(true) }

// BreakStore makes every later write of consensus fail.
func (c *Cluster) BreakStore() { c.seat().store.Close() }
