package admin

import (
	"runtime"

	"flamingo/node"
)

// The families of a node and of its clients.

var nodeFamilies = []family{
	gauges("build_info", "What the program was built from; always 1.", []string{"version", "revision", "go"}, func(_ *reading, sample sampler) {
		version, revision := build()
		sample(1, version, revision, runtime.Version())
	}),
	gauges("node_info", "The name of the node and its part in granting numbers (voter, nonvoter, outside, or none alone); always 1.", []string{"node", "role"}, func(s *reading, sample sampler) {
		role := s.self.Role
		if role == "" {
			role = "none"
		}
		sample(1, s.self.Name, role)
	}),
	gauges("node_state", "1 for the state that the node is in, 0 for the others.", []string{"state"}, func(s *reading, sample sampler) {
		now := s.self.State
		switch {
		case s.closing:
			now = "closed"
		case s.drain.Phase != node.DrainNone:
			now = "draining"
		}
		for _, state := range []string{"joining", "ready", "draining", "closed"} {
			sample(yes(now == state), state)
		}
	}),
	gauge("node_life_began_timestamp_seconds", "When the life of the node began, or was given its newest number.", func(s *reading) float64 {
		return float64(s.began.UnixNano()) / 1e9
	}),

	gauge("idspace_numbers", "Node numbers that this node holds.", func(s *reading) int { return s.numbers.Numbers }),
	gauge("idspace_remaining_ids", "Ids that can be issued without a further number.", func(s *reading) uint64 { return s.numbers.Remaining }),
	gauge("idspace_number_wanted", "1 while a further number is asked for.", func(s *reading) float64 { return yes(s.numbers.Wanting) }),

	gauges("drain_phase", "1 for the phase that the drain of this node is in, 0 for the others.", []string{"phase"}, func(s *reading, sample sampler) {
		for _, p := range []node.DrainPhase{node.DrainNone, node.DrainWaiting, node.DrainEnding, node.DrainOver} {
			sample(yes(s.drain.Phase == p), string(p))
		}
	}),
	counter("drain_departed_connections_total", "Connections that the drain has ended, or is ending.", func(s *reading) int { return s.drain.Departed }),

	counts("operations_failed_total", "Operations asked of this node that failed, by their outcome.", []string{"op", "result"}, func(s *reading, sample sampler) {
		for _, f := range s.failures {
			result := "other"
			if f.Outcome != nil {
				result = ProblemOf(f.Outcome).Slug
			}
			sample(float64(f.Count), f.Op, result)
		}
	}),
	counts("messages_dropped_total", "Messages that were accepted and not, or not surely, delivered, by the hop where they were lost.", []string{"hop", "reason"}, func(s *reading, sample sampler) {
		sample(float64(s.clients.LostGone), "client", "gone")
		sample(float64(s.clients.LostUncertain), "client", "uncertain")
		sample(float64(s.clients.Dropped), "client", "backpressure")
		sample(float64(s.clients.LostExpired), "client", "expired")
		if s.clustered {
			each(s.cluster.Mesh.Undelivered, 1, sample, "mesh")
			sample(float64(s.groups.Lost), "group", "uncertain")
		}
	}),
	counter("undelivered_notices_dropped_total", "Notices of undelivered messages that found no room, as the program takes none.", func(s *reading) uint64 { return s.clients.NoticesDropped }),
}

var clientFamilies = []family{
	gauge("connections", "Connections that are open or ending.", func(s *reading) int { return s.clients.Connections }),
	gauge("connections_limit", "Bound of the connections.", func(s *reading) int { return s.clients.MaxConns }),
	counter("connections_accepted_total", "Connections that were given an id.", func(s *reading) uint64 { return s.clients.Accepted }),
	counts("connections_closed_total", "Connections that ended, by reason.", []string{"reason"}, func(s *reading, sample sampler) {
		each(s.clients.Closed, node.ReasonSent, sample)
	}),
	counts("connections_unopened_total", "Connections that ended in a handshake, before they were open, by reason.", []string{"reason"}, func(s *reading, sample sampler) {
		each(s.clients.Unopened, node.ReasonSent, sample)
	}),
	counts("connections_rejected_total", "Sockets that were accepted and closed at once: for want of a place or an id (full), or for the bound of one address.", []string{"reason"}, func(s *reading, sample sampler) {
		sample(float64(s.clients.Rejected), "full")
		sample(float64(s.clients.AddressRefused), "address")
	}),
	counter("accept_errors_total", "Attempts to accept that failed.", func(s *reading) uint64 { return s.clients.AcceptErrors }),
	counts("accept_pauses_total", "Times that a listener stood still: at a limit, or for its accept rate.", []string{"reason"}, func(s *reading, sample sampler) {
		sample(float64(s.clients.AcceptPauses), "limit")
		sample(float64(s.clients.AcceptSlowed), "rate")
	}),
	counter("connections_shed_total", "Connections that were ended for the bound of what all clients were sent and have not taken.", func(s *reading) uint64 { return s.clients.Shed }),
	gauge("opens_waiting", "Opens that the program has not taken.", func(s *reading) int { return s.clients.OpensWaiting }),
	gauge("closes_waiting", "Closes that the program has not taken.", func(s *reading) int { return s.clients.ClosesWaiting }),
	gauge("closed_remembered", "Ended connections of which it is known when and why.", func(s *reading) int { return s.clients.Remembered }),
	counter("closed_forgotten_total", "Ended connections of which it is not known any more.", func(s *reading) uint64 { return s.clients.Forgotten }),

	counter("client_received_messages_total", "Messages received from clients.", func(s *reading) uint64 { return s.clients.MessagesIn }),
	counter("client_received_bytes_total", "Bytes received from clients.", func(s *reading) uint64 { return s.clients.BytesIn }),
	counter("client_sent_messages_total", "Messages written to the sockets of clients.", func(s *reading) uint64 { return s.clients.MessagesOut }),
	counter("client_sent_bytes_total", "Bytes written to the sockets of clients.", func(s *reading) uint64 { return s.clients.BytesOut }),
	counter("client_refused_messages_total", "Messages that were refused to the sender, as the queue of a slow client was full.", func(s *reading) uint64 { return s.clients.Refused }),
	counter("client_expired_messages_total", "Messages that were taken back before they were written: their deadline passed, or who waited for them gave up.", func(s *reading) uint64 { return s.clients.Expired }),
	counter("client_throttled_total", "Times that a connection was not read for its rates.", func(s *reading) uint64 { return s.clients.Throttled }),
	counter("client_partial_messages_total", "Connections that ended inside a message.", func(s *reading) uint64 { return s.clients.Partials }),
	counter("client_pings_total", "Pings sent to silent clients of WebSockets.", func(s *reading) uint64 { return s.clients.Pings }),
	counter("client_pongs_dropped_total", "Pings of clients that did not take the answers.", func(s *reading) uint64 { return s.clients.PongsDropped }),
	gauge("receive_queue_messages", "Messages that were received and not taken by the program.", func(s *reading) int { return s.clients.QueuedMessages }),
	gauge("receive_queue_bytes", "Bytes that were received and are not done with.", func(s *reading) int64 { return s.clients.QueuedBytes }),
	gauge("send_queue_bytes", "Bytes that were accepted for clients and are not written.", func(s *reading) int64 { return s.clients.PendingBytes }),
	counter("certificate_faults_total", "Changes of a listener's certificate that could not be used.", func(s *reading) uint64 { return s.clients.CertificateFaults }),
}

var groupFamilies = []family{
	gauge("groups", "Groups with members on this node.", func(s *reading) int { return s.groups.Groups }),
	gauge("group_memberships", "Memberships of connections of this node.", func(s *reading) int { return s.groups.Memberships }),
	gauge("groups_elsewhere", "Groups with members on other nodes, counted for each of them.", func(s *reading) int { return s.groups.Elsewhere }),
	gauge("metadata_bytes", "Metadata of connections of this node.", func(s *reading) int { return s.groups.MetaBytes }),
	counter("group_publishes_total", "Messages that this node was asked to publish.", func(s *reading) uint64 { return s.groups.Published }),
	counter("group_delivered_messages_total", "Messages that connections of this node took, whoever published them.", func(s *reading) uint64 { return s.groups.Delivered }),
	counter("group_refused_messages_total", "Messages that connections of this node did not take.", func(s *reading) uint64 { return s.groups.Refused }),
	counter("group_unreached_nodes_total", "Nodes that a message for a group was not, or not wholly, handed to.", func(s *reading) uint64 { return s.groups.Unreachable }),
	counter("group_limited_total", "Joins and metadata that were refused for a bound of this node.", func(s *reading) uint64 { return s.groups.Limited }),
	counter("group_announcement_failures_total", "Attempts to tell another node of groups that failed.", func(s *reading) uint64 { return s.groups.Unannounced }),
	counter("group_retellings_total", "Times that a node had to tell this one of all its groups.", func(s *reading) uint64 { return s.groups.Retold }),

	gauge("watches", "Watches that this node has begun.", func(s *reading) int { return s.watches.Watches }),
	gauge("watches_here", "Watches of other nodes and this one on connections of this node.", func(s *reading) int { return s.watches.Watched }),
	counter("watches_refused_total", "Watches of either kind that were over a bound.", func(s *reading) uint64 { return s.watches.Refused }),
}
