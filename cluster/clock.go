package cluster

import (
	"slices"
	"time"

	"flamingo/cluster/gossip"
)

// clockOffset is how far this clock is ahead of the median of the voters', and
// whether a majority of them is known.
func (c *Cluster) clockOffset() (time.Duration, bool) {
	own := c.seat().store.Identity().Server
	var ahead []time.Duration
	voters := c.State().Voters
	for _, server := range voters {
		if server == own {
			ahead = append(ahead, 0)
			continue
		}
		if boot, ok := c.dir.bootOf(server); ok {
			if d, ok := c.clocks(boot); ok {
				ahead = append(ahead, d)
			}
		}
	}
	if len(ahead) <= len(voters)/2 {
		return 0, false
	}
	return -median(ahead), true
}

// median sorts all, of which there is at least one.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// role is the part of this node in consensus. One whose server has stopped has none,
// whatever the configuration that it knew last.
func (c *Cluster) role() gossip.Role {
	st := c.State()
	switch own := st.Identity.Server; {
	case !st.TakesPart():
		return gossip.RoleOutside
	case slices.Contains(st.Voters, own):
		return gossip.RoleVoter
	case slices.Contains(st.NonVoters, own):
		return gossip.RoleNonvoter
	}
	return gossip.RoleOutside
}
