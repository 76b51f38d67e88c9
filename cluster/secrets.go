package cluster

import "context"

// gossipKeys are the keys for gossip; none in clear text.
func (c *Cluster) gossipKeys() [][]byte {
	if c.trust == nil {
		return nil
	}
	return c.trust.GossipKeys()
}

// followTrust takes over what changes in the files of keys and certificates, until
// ctx is done. Streams go by it at once: those that it speaks against are closed.
func (c *Cluster) followTrust(ctx context.Context) error {
	if c.trust == nil {
		<-ctx.Done()
		return nil
	}
	return c.trust.Run(ctx, func() {
		if err := c.gossip.SetKeys(c.trust.GossipKeys()); err != nil {
			c.cfg.Logger.Error("keys of gossip cannot be changed", "err", err)
		}
	})
}

// warnOfClearText says so if others than this machine may listen in.
func (c *Cluster) warnOfClearText() {
	if c.clearText() {
		c.cfg.Logger.Warn("nodes speak clear text, and whoever reaches the port between them can be one: "+
			"give all of them a key file, which flamingo keygen writes", "addr", c.port.Addr())
	}
}

// clearText reports whether nodes speak clear text on an address that others than
// this machine may reach.
func (c *Cluster) clearText() bool {
	return c.trust == nil && !c.port.Addr().Addr().Unmap().IsLoopback()
}
