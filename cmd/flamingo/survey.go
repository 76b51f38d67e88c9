package main

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// surveyTimeout bounds what one node may take to answer for a survey: whoever
	// watches a cluster wants to see the others meanwhile.
	surveyTimeout = 3 * time.Second

	// surveyAtOnce bounds how many nodes are asked at the same time.
	surveyAtOnce = 16
)

// A survey is what the nodes of a cluster say of themselves at one time. The
// list of nodes is that of the one that was asked; each is then asked for what
// it counts, at the admin address that it shows.
type survey struct {
	At    time.Time
	Nodes []surveyed // in the order of the list: the oldest life first
}

// A surveyed node is a row of the list, and what the node itself says.
type surveyed struct {
	listedNode
	Samples samples
	Missing string // why there are no samples; empty if there are
}

// survey asks all nodes. The error is that of the node at --addr, with the body
// of its answer, which has to list them; one of the others that does not answer
// is part of what is found.
func (f *apiFlags) survey(ctx context.Context) (*survey, []byte, error) {
	body, err := f.call(ctx, request{method: http.MethodGet, path: "nodes"})
	if err != nil {
		return nil, body, err
	}
	list, err := decode[nodeList](body)
	if err != nil {
		return nil, nil, err
	}
	s := &survey{At: time.Now(), Nodes: make([]surveyed, len(list.Nodes))}
	var asking sync.WaitGroup
	defer asking.Wait()
	places := make(chan struct{}, surveyAtOnce) // a token for each that is asked; never closed
	for i, n := range list.Nodes {
		s.Nodes[i].listedNode = n
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			s.Nodes[i].ask(ctx, f)
		})
	}
	return s, nil, nil
}

// ask gets what the node counts.
func (n *surveyed) ask(ctx context.Context, f *apiFlags) {
	to := *f
	switch {
	case n.Self:
	case n.State == stateAbsent:
		n.Missing = "it is not there"
		return
	case n.Admin == "":
		n.Missing = "it shows no admin address"
		return
	default:
		to.Addr = n.Admin
	}
	ctx, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	body, err := to.call(ctx, request{method: http.MethodGet, path: "stats"})
	if err == nil {
		n.Samples, err = decode[samples](body)
	}
	if err != nil {
		n.Missing = err.Error()
	}
}

// stateAbsent is the state of a node that holds numbers and was lost.
const stateAbsent = "absent"

// samples are what a node counts: see docs/metrics.md.
type samples struct {
	Samples []sample `json:"samples"`
}

// A sample is one figure.
type sample struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

// metricPrefix begins the name of every family.
const metricPrefix = "flamingo_"

// each hands over the samples of a family.
func (s *samples) each(family string, do func(labels map[string]string, value float64)) {
	for _, v := range s.Samples {
		if v.Name == metricPrefix+family {
			do(v.Labels, v.Value)
		}
	}
}

// sum returns the sum of a family: the value itself if it has no labels.
func (s *samples) sum(family string) (total float64) {
	s.each(family, func(_ map[string]string, value float64) { total += value })
	return total
}

// labelled returns the values of a label of the samples that are not 0, in order.
func (s *samples) labelled(family, label string) []string {
	found := make(map[string]bool)
	s.each(family, func(labels map[string]string, value float64) {
		if value != 0 {
			found[labels[label]] = true
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// role is the part that the node has in granting numbers; empty if it did not
// answer, or is alone.
func (n *surveyed) role() string {
	for _, role := range n.Samples.labelled("node_info", "role") {
		if role != "none" {
			return role
		}
	}
	return ""
}

// leads reports whether the node says that it leads the voters.
func (n *surveyed) leads() bool { return n.Samples.sum("raft_is_leader") > 0 }

// label is how a node is named in a sentence.
func (n *surveyed) label() string {
	if n.Name == "" {
		return printable(n.Number)
	}
	return printable(n.Name)
}

// counted reports whether the node has answered.
func (n *surveyed) counted() bool { return n.Missing == "" }

// leader returns the node that leads the voters, the one in the highest term if
// two say so; nil if none does.
func (s *survey) leader() *surveyed {
	var leader *surveyed
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.leads() && (leader == nil || n.Samples.sum("raft_term") > leader.Samples.sum("raft_term")) {
			leader = n
		}
	}
	return leader
}

// total returns the sum of a family over all nodes.
func (s *survey) total(family string) (total float64) {
	for i := range s.Nodes {
		total += s.Nodes[i].Samples.sum(family)
	}
	return total
}
