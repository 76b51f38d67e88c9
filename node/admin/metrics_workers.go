package admin

import (
	"maps"
	"slices"

	"flamingo/node/attach"
)

// AttachWorkers has the metrics show what workers do that are the application of the
// node.
func (h *Handler) AttachWorkers(s *attach.Server) { h.workers.Store(s) }

func (h *Handler) workerStats() *attach.Stats {
	s := h.workers.Load()
	if s == nil {
		return nil
	}
	st := s.Stats()
	return &st
}

// ofWorkers is a family that a node has whose application are workers or a webhook.
func ofWorkers(f family) family {
	read := f.read
	f.read = func(s *reading, sample sampler) {
		if s.workers != nil {
			read(s, sample)
		}
	}
	return f
}

func workerGauge[N number](name, help string, get func(*attach.Stats) N) family {
	return ofWorkers(gauge(name, help, func(s *reading) N { return get(s.workers) }))
}

func workerCounter[N number](name, help string, get func(*attach.Stats) N) family {
	return ofWorkers(counter(name, help, func(s *reading) N { return get(s.workers) }))
}

// The families of workers and the webhook.
var workerFamilies = []family{
	workerGauge("attach_sessions", "Workers that are attached.", func(s *attach.Stats) int { return s.Sessions }),
	workerGauge("attach_events_waiting", "Events that no worker takes.", func(s *attach.Stats) int { return s.Waiting }),
	workerGauge("attach_events_queued", "Events of workers that wait for their window.", func(s *attach.Stats) int { return s.Queued }),
	workerGauge("attach_events_out", "Events sent to workers and not acknowledged.", func(s *attach.Stats) int { return s.Out }),
	workerCounter("attach_events_total", "Events taken from the node for workers.", func(s *attach.Stats) uint64 { return s.Taken }),
	workerCounter("attach_events_sent_total", "Events sent to workers, each as often as it was sent.", func(s *attach.Stats) uint64 { return s.Sent }),
	workerCounter("attach_events_again_total", "Events sent to workers that had been sent before.", func(s *attach.Stats) uint64 { return s.Again }),
	workerCounter("attach_events_acknowledged_total", "Events that workers have acknowledged.", func(s *attach.Stats) uint64 { return s.Acknowledged }),
	workerCounter("attach_actions_total", "Actions done for workers.", func(s *attach.Stats) uint64 { return s.Actions }),
	workerCounter("attach_actions_failed_total", "Actions of workers with another outcome than accepted.", func(s *attach.Stats) uint64 { return s.Failed }),
	workerCounter("attach_strangers_total", "Streams to the port of workers that did not become a session.", func(s *attach.Stats) uint64 { return s.Strangers }),
	ofWorkers(counts("attach_sessions_ended_total", "Sessions of workers that have ended, by reason.", []string{"reason"},
		func(s *reading, sample sampler) {
			for _, why := range slices.Sorted(maps.Keys(s.workers.Ended)) {
				sample(float64(s.workers.Ended[why]), why)
			}
		})),
	workerCounter("webhook_posts_total", "Requests of the webhook.", func(s *attach.Stats) uint64 { return s.Posts }),
	workerCounter("webhook_posts_failed_total", "Requests of the webhook that did not succeed.", func(s *attach.Stats) uint64 { return s.PostsFailed }),
}
