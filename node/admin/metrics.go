package admin

import (
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"flamingo/node"
	"flamingo/node/attach"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The counters are those of the node itself; a scrape reads them, and nothing is done
// for it in between. One table, families, says what there is: for /metrics, for
// /api/v1/stats and for docs/metrics.md.

const (
	// maxScrapes bounds the scrapes at once; one more is refused as busy.
	maxScrapes = 4

	prefix = "flamingo_"
)

// A Metric is a family of metrics of a node.
type Metric struct {
	Name    string // with the prefix flamingo_
	Help    string
	Counter bool     // else it is a gauge
	Labels  []string // never with an id or an address for a value
}

// Metrics returns the families of metrics of a node: all of those that begin with
// flamingo_, but for the histogram flamingo_api_request_duration_seconds.
func Metrics() []Metric {
	all := make([]Metric, 0, len(families))
	for _, f := range families {
		all = append(all, Metric{prefix + f.name, f.help, f.counter, slices.Clone(f.labels)})
	}
	return all
}

// families are all families, in the order of docs/metrics.md.
var families = slices.Concat(nodeFamilies, clientFamilies, groupFamilies, meshFamilies, clusterFamilies, workerFamilies, apiFamilies)

// A family is a metric with the means to read it.
type family struct {
	name    string
	help    string
	counter bool
	labels  []string

	// read hands over every sample: a value with the values of labels. The same labels
	// may come twice; then the values are added.
	read func(s *reading, sample sampler)
}

// A sampler takes one sample.
type sampler func(value float64, labels ...string)

// gauge is a family with one sample, which goes up and down.
func gauge[N number](name, help string, get func(s *reading) N) family {
	return family{name: name, help: help, read: func(s *reading, sample sampler) { sample(float64(get(s))) }}
}

// counter is a family with one sample, which only grows.
func counter[N number](name, help string, get func(s *reading) N) family {
	f := gauge(name, help, get)
	f.counter = true
	return f
}

type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// gauges and counts are families with several samples.
func gauges(name, help string, labels []string, read func(s *reading, sample sampler)) family {
	return family{name: name, help: help, labels: labels, read: read}
}

func counts(name, help string, labels []string, read func(s *reading, sample sampler)) family {
	return family{name: name, help: help, counter: true, labels: labels, read: read}
}

// inCluster is a family that a node alone has not.
func inCluster(f family) family {
	read := f.read
	f.read = func(s *reading, sample sampler) {
		if s.clustered {
			read(s, sample)
		}
	}
	return f
}

// A word is a value of a type with few, which has a name.
type word interface {
	~uint8
	String() string
}

// each hands over a sample for every value of the type from first on that has a name,
// so that a counter is there before it counts: who looks for an increase would miss
// the first.
func each[W word](counts map[W]uint64, first W, sample sampler, labels ...string) {
	for w := first; isNamed(w); w++ {
		sample(float64(counts[w]), append(slices.Clip(labels), w.String())...)
	}
}

// isNamed reports whether w is a value that has a name: what has none is called
// unknown, or by its number.
func isNamed[W word](w W) bool {
	name := w.String()
	return name != "unknown" && !strings.HasSuffix(name, " "+strconv.Itoa(int(w)))
}

// yes is 1 for true.
func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// counting is what a Handler needs of a node for its metrics.
type counting interface {
	Stats() node.Stats
	GroupStats() node.GroupStats
	WatchStats() node.WatchStats
	NumberStats() node.NumberStats
	ClusterStats() (node.ClusterStats, bool)
	Failures() []node.Failures
	Number() node.NodeNumber
}

// A reading is what a node has counted by one moment.
type reading struct {
	h         *Handler
	attached  bool // the rest is of a node
	clients   node.Stats
	groups    node.GroupStats
	watches   node.WatchStats
	numbers   node.NumberStats
	clustered bool
	cluster   node.ClusterStats
	failures  []node.Failures
	began     time.Time // the life of the node, to a sixteenth of a second
	self      node.NodeInfo
	drain     node.DrainProgress
	closing   bool
	workers   *attach.Stats // nil if the program is the application
}

// read takes a reading. Without a node only the families of the API have samples.
func (h *Handler) read() *reading {
	n, err := h.attached()
	if err != nil {
		return &reading{h: h}
	}
	s := &reading{
		h: h, attached: true, clients: n.Stats(), groups: n.GroupStats(), watches: n.WatchStats(), numbers: n.NumberStats(),
		failures: n.Failures(), began: n.Number().Time(), drain: n.DrainProgress(), closing: n.Closing(),
	}
	s.cluster, s.clustered = n.ClusterStats()
	s.workers = h.workerStats()
	nodes := n.Nodes()
	if i := slices.IndexFunc(nodes, func(i node.NodeInfo) bool { return i.Self }); i >= 0 {
		s.self = nodes[i]
	}
	return s
}

// of hands over the samples of a family, each of its label values once.
func (s *reading) of(f *family, take sampler) {
	if !s.attached && !f.always() {
		return
	}
	var order [][]string
	sums := make(map[string]float64)
	key := func(labels []string) string { return strings.Join(labels, "\x00") }
	f.read(s, func(value float64, labels ...string) {
		k := key(labels)
		if _, known := sums[k]; !known {
			order = append(order, labels)
		}
		sums[k] += value
	})
	for _, labels := range order {
		take(sums[key(labels)], labels...)
	}
}

// always reports whether a family is there without a node, too.
func (f *family) always() bool {
	return slices.ContainsFunc(apiFamilies, func(a family) bool { return a.name == f.name })
}

// collector is what the library asks at each scrape.
type collector struct {
	h     *Handler
	descs []*prometheus.Desc // of families, in their order
}

// newRegistry returns everything that /metrics shows of h.
func newRegistry(h *Handler) *prometheus.Registry {
	c := &collector{h: h}
	for _, f := range families {
		c.descs = append(c.descs, prometheus.NewDesc(prefix+f.name, f.help, f.labels, nil))
	}
	r := prometheus.NewRegistry()
	r.MustRegister(c, h.traffic.duration, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.h.read()
	for i := range families {
		kind := prometheus.GaugeValue
		if families[i].counter {
			kind = prometheus.CounterValue
		}
		s.of(&families[i], func(value float64, labels ...string) {
			m, err := prometheus.NewConstMetric(c.descs[i], kind, value, labels...)
			if err != nil { // a name that is no UTF-8
				m = prometheus.NewInvalidMetric(c.descs[i], err)
			}
			to <- m
		})
	}
}

// scrape answers GET /metrics: the text form of Prometheus, or what the request
// accepts in its place.
func (h *Handler) scrape(w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	select {
	case h.scrapes <- struct{}{}:
	default:
		return fail(problemBusy, "%d scrapes are under way", cap(h.scrapes))
	}
	defer func() { <-h.scrapes }()
	h.metrics.ServeHTTP(w, r)
	return nil
}

func newScraper(h *Handler) http.Handler {
	return promhttp.HandlerFor(newRegistry(h), promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// A sampleJSON is one sample of /api/v1/stats.
type sampleJSON struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"`
}

// stats answers GET /api/v1/stats: the families of metrics as JSON.
func (h *Handler) stats(w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	samples := []sampleJSON{}
	s := h.read()
	for i := range families {
		f := &families[i]
		s.of(f, func(value float64, labels ...string) {
			j := sampleJSON{Name: prefix + f.name, Value: value}
			if len(labels) > 0 {
				j.Labels = make(map[string]string, len(labels))
			}
			for k, l := range labels {
				j.Labels[f.labels[k]] = l
			}
			samples = append(samples, j)
		})
	}
	return writeJSON(w, http.StatusOK, map[string][]sampleJSON{"samples": samples})
}

// build is what this program was built from, as far as it says.
var build = sync.OnceValues(func() (version, revision string) {
	version = "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return info.Main.Version, revision
})
