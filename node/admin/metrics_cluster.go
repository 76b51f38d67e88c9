package admin

import (
	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/node"
)

// The families of a node's part in its cluster, which a node alone has not.

// clusterGauge and clusterCounter are families with one sample.
func clusterGauge[N number](name, help string, get func(c *node.ClusterStats) N) family {
	return inCluster(gauge(name, help, func(s *reading) N { return get(&s.cluster) }))
}

func clusterCounter[N number](name, help string, get func(c *node.ClusterStats) N) family {
	return inCluster(counter(name, help, func(s *reading) N { return get(&s.cluster) }))
}

// clusterCounts is a family of counts by a word.
func clusterCounts[W word](name, help, label string, first W, get func(c *node.ClusterStats) map[W]uint64) family {
	return inCluster(counts(name, help, []string{label}, func(s *reading, sample sampler) { each(get(&s.cluster), first, sample) }))
}

// peerGauge and peerCounter are families with a sample for each peer, by its name:
// that of a life that nobody has the name of is empty, and lives of one name count
// together.
func peerGauge(name, help string, get func(p *mesh.PeerStats) float64) family {
	return inCluster(gauges(name, help, []string{"peer"}, func(s *reading, sample sampler) {
		for i := range s.cluster.Peers {
			sample(get(&s.cluster.Peers[i].PeerStats), s.cluster.Peers[i].Name)
		}
	}))
}

func peerCounter(name, help string, get func(p *mesh.PeerStats) uint64) family {
	f := peerGauge(name, help, func(p *mesh.PeerStats) float64 { return float64(get(p)) })
	f.counter = true
	return f
}

var meshFamilies = []family{
	inCluster(gauges("mesh_peers", "Links from this node, by state.", []string{"state"}, func(s *reading, sample sampler) {
		states := make(map[mesh.State]int)
		for _, p := range s.cluster.Peers {
			states[p.State]++
		}
		for state := mesh.StateIdle; state <= mesh.StateGone; state++ {
			sample(float64(states[state]), state.String())
		}
	})),
	peerGauge("mesh_peer_up", "Links to a peer that are up.", func(p *mesh.PeerStats) float64 { return yes(p.State == mesh.StateUp) }),
	peerGauge("mesh_peer_unreachable", "Links to a peer that is out of reach.", func(p *mesh.PeerStats) float64 { return yes(p.State == mesh.StateUnreachable) }),
	peerGauge("mesh_peer_rtt_seconds", "Round trip to a peer, smoothed; 0 before the first.", func(p *mesh.PeerStats) float64 { return p.RTT.Seconds() }),
	peerGauge("mesh_send_queue_bytes", "Bytes for a peer that are queued or not acknowledged.", func(p *mesh.PeerStats) float64 { return float64(p.QueueBytes) }),
	peerGauge("mesh_waiting_operations", "Sends and closes for a peer whose outcome is waited for.", func(p *mesh.PeerStats) float64 { return float64(p.Waits) }),
	peerCounter("mesh_sent_frames_total", "Frames sent to a peer.", func(p *mesh.PeerStats) uint64 { return p.Dialled.FramesOut + p.Accepted.FramesOut }),
	peerCounter("mesh_received_frames_total", "Frames received from a peer.", func(p *mesh.PeerStats) uint64 { return p.Dialled.FramesIn + p.Accepted.FramesIn }),
	peerCounter("mesh_sent_bytes_total", "Bytes sent to a peer.", func(p *mesh.PeerStats) uint64 { return p.Dialled.BytesOut + p.Accepted.BytesOut }),
	peerCounter("mesh_received_bytes_total", "Bytes received from a peer.", func(p *mesh.PeerStats) uint64 { return p.Dialled.BytesIn + p.Accepted.BytesIn }),
	peerCounter("mesh_breaks_total", "Streams of lanes to a peer that broke.", func(p *mesh.PeerStats) uint64 { return p.Breaks }),
	peerCounter("mesh_resumes_total", "Sessions with a peer that went on by another stream, without a loss.", func(p *mesh.PeerStats) uint64 { return p.Resumes }),
	peerCounter("mesh_session_losses_total", "Sessions with a peer that ended with something unacknowledged.", func(p *mesh.PeerStats) uint64 { return p.Losses }),
	clusterGauge("mesh_inbound_streams", "Streams that peers have open to this node.", func(c *node.ClusterStats) int { return c.Mesh.Inbound }),
	clusterGauge("mesh_sessions", "Sessions of lanes from peers, those without a stream included.", func(c *node.ClusterStats) int { return c.Mesh.Sessions }),
	clusterGauge("mesh_handshakes_open", "Handshakes of peers that are under way.", func(c *node.ClusterStats) int { return c.Mesh.HandshakesOpen }),
	clusterCounter("mesh_sessions_forgotten_total", "Sessions of peers that were ended for want of room or time.", func(c *node.ClusterStats) uint64 { return c.Mesh.Forgotten }),
	clusterCounter("mesh_late_outcomes_total", "Outcomes that were found when their session was over.", func(c *node.ClusterStats) uint64 { return c.Mesh.LateOutcomes }),
	clusterCounter("mesh_reports_dropped_total", "Reports of sends that failed which found no room.", func(c *node.ClusterStats) uint64 { return c.Mesh.LostReports }),
	clusterCounts("mesh_stream_ends_total", "Streams, and attempts at one, that ended, by reason.", "reason", mesh.ReasonIdle, func(c *node.ClusterStats) map[mesh.Reason]uint64 { return c.Mesh.Ends }),
	clusterGauge("mesh_pressed_ids", "Connections of other nodes to which sends are refused here, as their owners have said that they are full.", func(c *node.ClusterStats) int { return c.Mesh.Pressure.Pressed }),
	clusterCounter("mesh_pressed_refused_total", "Sends that were refused so.", func(c *node.ClusterStats) uint64 { return c.Mesh.Pressure.Refused }),
	clusterGauge("mesh_pressure_notices", "Notices to peers of connections here that are full, not taken back; a connection counts once for each lane that was told.", func(c *node.ClusterStats) int { return c.Mesh.Pressure.Notices }),
	clusterCounter("mesh_pressure_told_total", "Such notices since the node started.", func(c *node.ClusterStats) uint64 { return c.Mesh.Pressure.Told }),
	inCluster(counts("mesh_pressure_unheeded_total", "Notices of pressure that had no effect, by reason: no room for them at the owner (untold) or at the sender (unkept), or about nothing that was sent (stray).", []string{"reason"}, func(s *reading, sample sampler) {
		sample(float64(s.cluster.Mesh.Pressure.Untold), "untold")
		sample(float64(s.cluster.Mesh.Pressure.Unkept), "unkept")
		sample(float64(s.cluster.Mesh.Pressure.Stray), "stray")
	})),
}

var clusterFamilies = []family{
	inCluster(gauges("cluster_members", "Nodes that this one sees, by state; absent are those that hold numbers and have not come back since they were lost.", []string{"state"}, func(s *reading, sample sampler) {
		for state := gossip.StateJoining; isNamed(state); state++ {
			sample(float64(s.cluster.Members[state]), state.String())
		}
		sample(float64(s.cluster.Absent), "absent")
	})),
	clusterGauge("idspace_live_numbers", "Node numbers that were granted and are neither ended nor retired.", func(c *node.ClusterStats) int { return c.Live }),
	clusterGauge("idspace_retired_numbers", "Node numbers that were retired.", func(c *node.ClusterStats) int { return c.Retired }),
	clusterGauge("idspace_ahead_ticks", "The number granted last less the tick of this machine's clock, in sixteenths of a second; usually negative.", func(c *node.ClusterStats) int64 { return c.Raft.Ahead }),
	clusterGauge("clock_ahead_seconds", "How far this machine's clock is ahead of the median of the voters'; 0 while that is not known.", func(c *node.ClusterStats) float64 { return c.Clock.Seconds() }),

	clusterGauge("gossip_health_score", "How late this node is with its answers to gossip: 0 is healthy.", func(c *node.ClusterStats) int { return c.Gossip.Health }),
	clusterGauge("gossip_lost_addresses", "Addresses of lost members that are tried again.", func(c *node.ClusterStats) int { return c.Gossip.Lost }),
	clusterCounter("gossip_lost_addresses_forgotten_total", "Of those, dropped for newer ones.", func(c *node.ClusterStats) uint64 { return c.Gossip.Forgotten }),
	inCluster(counts("gossip_joins_total", "Attempts to exchange states with a node, by how they ended.", []string{"result"}, func(s *reading, sample sampler) {
		sample(float64(s.cluster.Gossip.Joins), "done")
		sample(float64(s.cluster.Gossip.JoinErrors), "failed")
	})),
	clusterCounts("gossip_members_refused_total", "Announcements and exchanges that were refused, by reason.", "reason", gossip.ForCluster, func(c *node.ClusterStats) map[gossip.Reason]uint64 { return c.Gossip.MembersRefused }),
	clusterCounts("gossip_streams_refused_total", "Streams of gossip that were refused, by reason.", "reason", gossip.ForCluster, func(c *node.ClusterStats) map[gossip.Reason]uint64 { return c.Gossip.StreamsRefused }),
	inCluster(counts("gossip_packets_dropped_total", "Packets that were not sent to nodes that were refused (muted), that could not be sent (unsent), or that somebody sent who knows no key (sealed).", []string{"reason"}, func(s *reading, sample sampler) {
		sample(float64(s.cluster.Gossip.PacketsMuted), "muted")
		sample(float64(s.cluster.Gossip.PacketErrors), "unsent")
		sample(float64(s.cluster.Gossip.PacketsSealed), "sealed")
	})),

	clusterCounter("port_accepted_total", "Connections accepted at the port between nodes.", func(c *node.ClusterStats) uint64 { return c.Port.Accepted }),
	clusterCounter("port_accept_errors_total", "Attempts to accept there that failed.", func(c *node.ClusterStats) uint64 { return c.Port.AcceptErrors }),
	clusterCounts("port_handed_total", "Connections there that were handed on, by protocol.", "protocol", port.Gossip, func(c *node.ClusterStats) map[port.Protocol]uint64 { return c.Port.Handed }),
	clusterCounts("port_refused_total", "Connections there that were closed unserved, by reason.", "reason", port.Stranger, func(c *node.ClusterStats) map[port.Reason]uint64 { return c.Port.Refused }),
	clusterCounter("port_dialed_total", "Connections that this node opened to others.", func(c *node.ClusterStats) uint64 { return c.Port.Dialed }),
	clusterCounter("port_dial_errors_total", "Attempts to open one that failed.", func(c *node.ClusterStats) uint64 { return c.Port.DialErrors }),
	clusterCounts("port_distrusted_total", "Of those, closed because of who is there, by reason.", "reason", port.Stranger, func(c *node.ClusterStats) map[port.Reason]uint64 { return c.Port.Distrusted }),
	clusterCounter("port_received_packets_total", "Packets received there.", func(c *node.ClusterStats) uint64 { return c.Port.PacketsReceived }),
	clusterCounter("port_sent_packets_total", "Packets sent from there.", func(c *node.ClusterStats) uint64 { return c.Port.PacketsSent }),
	clusterCounts("port_dropped_packets_total", "Packets there that were dropped, by reason.", "reason", port.Stranger, func(c *node.ClusterStats) map[port.Reason]uint64 { return c.Port.PacketsDropped }),
	inCluster(counts("port_packet_errors_total", "Packets that could not be read or sent.", []string{"direction"}, func(s *reading, sample sampler) {
		sample(float64(s.cluster.Port.PacketErrors), "in")
		sample(float64(s.cluster.Port.SendErrors), "out")
	})),
	inCluster(counts("trust_reloads_total", "Changes of key and certificate files, by whether they could be used.", []string{"result"}, func(s *reading, sample sampler) {
		sample(float64(s.cluster.Trust.Reloads), "done")
		sample(float64(s.cluster.Trust.ReloadFaults), "failed")
	})),
	clusterGauge("trust_clear_text", "1 if nodes speak clear text on an address that others than this machine may reach.", func(c *node.ClusterStats) float64 { return yes(c.ClearText) }),
	clusterCounter("trust_severed_streams_total", "Open streams that were closed for what a change took away.", func(c *node.ClusterStats) uint64 { return c.Trust.Severed }),

	clusterGauge("raft_has_leader", "1 while a leader of the voters is known here; without one no numbers are granted. Nodes that are no voters have 0.", func(c *node.ClusterStats) float64 { return yes(!c.Raft.Leader.IsZero()) }),
	clusterGauge("raft_is_leader", "1 while this node leads the voters.", func(c *node.ClusterStats) float64 { return yes(c.Raft.Leading) }),
	clusterGauge("raft_is_voter", "1 while this node is a voter and takes part in raft.", func(c *node.ClusterStats) float64 { return yes(isVoter(c)) }),
	clusterGauge("raft_stopped", "1 while this node takes no part in raft since that has failed, usually by its disk.", func(c *node.ClusterStats) float64 { return yes(c.Raft.Err != nil) }),
	clusterCounter("raft_reseats_total", "Times that this node took part in raft again after its disk had stalled.", func(c *node.ClusterStats) uint64 { return c.Reseated }),
	clusterGauge("raft_term", "Term of raft.", func(c *node.ClusterStats) uint64 { return c.Raft.Term }),
	clusterGauge("raft_log_index", "Index of the last entry in the log.", func(c *node.ClusterStats) uint64 { return c.Raft.Index }),
	clusterGauge("raft_applied_index", "Index of the last entry that was applied.", func(c *node.ClusterStats) uint64 { return c.Raft.Applied }),
	inCluster(gauges("raft_servers", "Servers in raft's configuration, by role.", []string{"role"}, func(s *reading, sample sampler) {
		sample(float64(len(s.cluster.Raft.Voters)), "voter")
		sample(float64(len(s.cluster.Raft.NonVoters)), "nonvoter")
	})),
	clusterCounts("raft_refused_total", "Streams of raft that this node refused, by reason.", "reason", consensus.RefusedFormat, func(c *node.ClusterStats) map[consensus.Refusal]uint64 { return c.Raft.Refused }),
	clusterCounts("raft_refused_by_peers_total", "Streams of raft that peers refused to this node, by reason.", "reason", consensus.RefusedFormat, func(c *node.ClusterStats) map[consensus.Refusal]uint64 { return c.Raft.RefusedBy }),
}

func isVoter(c *node.ClusterStats) bool {
	return c.Role == gossip.RoleVoter
}
