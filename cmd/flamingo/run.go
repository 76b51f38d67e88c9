package main

import (
	"log/slog"
	"slices"
	"time"

	"flamingo/node"
	"flamingo/transport"
)

// maxDrainTime bounds the times of a drain: as node.DrainPlan has it.
const maxDrainTime = 24 * time.Hour

// defaultListen is where clients connect when nothing says: as node.Opts has it.
const defaultListen = "tcp://:4100"

// runCommand is one node. Its fields are the settings: see setting.
type runCommand struct {
	Config string `short:"c" placeholder:"FILE" help:"File of settings, in YAML."`

	Listen           []string      `group:"clients" key:"listen" sep:"none" default:"${default_listen}" help:"Where clients connect: tcp or tls://HOST:PORT, unix:///PATH, or ws or wss://HOST:PORT/PATH for WebSockets, options as query parameters, such as ?framing=line&max-conns=10000. Repeatable."`
	Framing          string        `group:"clients" key:"framing" default:"line" help:"Framing of listeners that name none: raw, line, delimiter, length, fixed or netstring, with options as in a listener: length&length-bytes=2."`
	App              string        `group:"clients" key:"app" enum:"echo,sink,attach" default:"echo" help:"What becomes of messages: echo sends them back, sink drops them, and both greet a client with the line flamingo ID; with attach the application are other processes, see docs/attach.md."`
	Attach           string        `group:"clients" key:"attach.address" placeholder:"ADDR" help:"Where these attach, HOST:PORT or unix:PATH; it implies --app attach, which alone means 127.0.0.1:4140. Beyond loopback with --attach-token-file alone."`
	AttachTokenFile  string        `group:"clients" key:"attach.token_file" placeholder:"FILE" help:"File with the tokens that they show, one a line, each followed by its scopes if it does not have all: events, send, read."`
	AttachAckTimeout time.Duration `group:"clients" key:"attach.ack_timeout" placeholder:"TIME" help:"How long one of them may leave an event unacknowledged before others take over, at least 1s; 0 is 1m."`
	Webhook          string        `group:"clients" key:"webhook.url" placeholder:"URL" help:"Post opens, messages and closes there, http or https, and do what the answer says; see docs/webhooks.md. It is the application, beside those that attach with --attach."`
	WebhookSecret    string        `group:"clients" name:"webhook-secret-file" key:"webhook.secret_file" placeholder:"FILE" help:"File with the secret that signs what is posted, one line of at least 16 bytes. Needed."`
	WebhookEvents    []string      `group:"clients" key:"webhook.events" placeholder:"TYPE" help:"Which of open, data and close are posted; if nothing is said all."`
	MaxConns         int           `group:"clients" key:"limits.max_conns" placeholder:"N" help:"Bound of the connections; 0 is what the limit of open files leaves."`
	ActivityTimeout  time.Duration `group:"clients" key:"limits.activity_timeout" placeholder:"TIME" help:"End connections that are silent for so long; 0 is never."`
	MaxMessage       size          `group:"clients" key:"limits.max_message" placeholder:"SIZE" help:"Longest message, such as 64KiB; 0 is 1MiB, and 1024 bytes of framing raw."`
	OutputBytes      size          `group:"clients" key:"limits.output_bytes" placeholder:"SIZE" help:"Bound of what a client was sent and has not taken; 0 is 1MiB."`
	SlowClient       string        `group:"clients" key:"limits.slow_client" enum:"close,drop-newest,fail-sender" default:"close" help:"What happens at that bound: close, drop-newest or fail-sender."`
	TotalOutputBytes size          `group:"clients" key:"limits.total_output_bytes" placeholder:"SIZE" help:"Bound of what all clients were sent and have not taken, above which the one with the most is ended; 0 is 1GiB."`
	CloseTimeout     time.Duration `group:"clients" key:"limits.close_timeout" placeholder:"TIME" help:"How long what was sent to a connection that ends may take to be written, up to 1h; 0 is 5s."`
	HalfClose        time.Duration `group:"clients" key:"limits.half_close" placeholder:"TIME" help:"How long a client that has shut its sending side may wait for the answer to its last message, up to 1h; 0 is 100ms."`
	QueueBytes       size          `group:"clients" key:"limits.queue_bytes" placeholder:"SIZE" help:"Bound of the received messages that the application has not taken, 48 bytes for each included; reading from clients pauses there; 0 is 16MiB."`
	ClosedMemory     int           `group:"clients" key:"limits.closed_memory" placeholder:"N" help:"Of how many ended connections the node remembers when and why, 48 bytes each; 0 is 131072."`
	GroupsPerConn    int           `group:"clients" key:"limits.groups_per_conn" placeholder:"N" help:"Bound of the groups of one connection, up to 256; 0 is 64."`
	MaxGroups        int           `group:"clients" key:"limits.max_groups" placeholder:"N" help:"Bound of the groups that have members on this node; 0 is 1048576."`
	MetaBytes        size          `group:"clients" key:"limits.meta_bytes" placeholder:"SIZE" help:"Bound of the metadata of one connection, up to 8KiB; 0 is 1KiB."`
	TotalMetaBytes   size          `group:"clients" key:"limits.total_meta_bytes" placeholder:"SIZE" help:"Bound of the metadata of all connections of this node, up to 1GiB; 0 is 64MiB."`
	MaxWatches       int           `group:"clients" key:"limits.max_watches" placeholder:"N" help:"Bound of the watches that this node has begun, and of those that it lets any other node have on its connections; 0 is 65536."`
	MaxWatched       int           `group:"clients" key:"limits.max_watched" placeholder:"N" help:"Bound of the watches of all nodes together on the connections of this one; 0 is 262144."`
	Loops            int           `group:"clients" key:"node.loops" placeholder:"N" help:"Event loops that serve the connections; 0 is one for each processor, at most 4."`
	Portable         bool          `group:"clients" key:"node.portable" help:"Serve each connection by goroutines in place of event loops, as on systems without epoll."`
	DrainWait        time.Duration `group:"clients" key:"drain.wait" placeholder:"TIME" help:"On the first SIGTERM or ^C, serve for so long while /readyz says no, so that a load balancer sends new clients elsewhere before they are refused; 0 is not at all."`
	DrainDuration    time.Duration `group:"clients" key:"drain.duration" placeholder:"TIME" help:"Then end the connections evenly over so long, first those that are silent the longest; 0 is all at once."`

	Cluster     string        `group:"cluster" key:"cluster.address" placeholder:"ADDR" help:"The one port between nodes, TCP and UDP: IP:PORT or :PORT; if nothing is said 127.0.0.1:4110. A node belongs to a cluster if --cluster, --join or --expect is given."`
	Advertise   string        `group:"cluster" key:"cluster.advertise" placeholder:"ADDR" help:"Where other nodes reach that port, as IP:PORT."`
	Join        []string      `group:"cluster" key:"cluster.join" placeholder:"ADDR" help:"Where to look for other nodes: HOST:PORT, dns:NAME, srv:NAME, file:PATH, exec:PROGRAM. The same list may be given to every node."`
	Expect      int           `group:"cluster" key:"cluster.expect" placeholder:"N" help:"How many new nodes found a cluster together: 1, 3 or 5. A node that finds a cluster joins it."`
	ClusterName string        `group:"cluster" key:"cluster.name" placeholder:"NAME" help:"Keeps clusters apart that could reach each other; if nothing is said flamingo."`
	Insecure    bool          `group:"cluster" key:"cluster.insecure" help:"Allow clear text between nodes beyond loopback, on a network that nobody else can reach."`
	Data        string        `group:"cluster" key:"node.data" placeholder:"DIR" help:"Data directory: the last number, and the node's part of what the cluster agreed on."`
	Ephemeral   bool          `group:"cluster" key:"node.ephemeral" help:"Allow --expect above 1 without --data: when most of these nodes have ended, the cluster has."`
	Name        string        `group:"cluster" key:"node.name" placeholder:"NAME" help:"The node's name, for people; if nothing is said the host's."`
	LostAfter   time.Duration `group:"cluster" key:"cluster.lost_after" placeholder:"TIME" help:"How long no voter may have had contact with a node before it is retired; 0 is 1h, less than 0 never."`

	SendTimeout time.Duration `group:"cluster" key:"limits.send_timeout" placeholder:"TIME" help:"How long a send waits for room on the way to another node; 0 is 5s."`

	ClusterKeyFile string `group:"cluster" key:"cluster.key_file" placeholder:"FILE" help:"File with the key that all nodes share, which flamingo keygen writes: everything between nodes is encrypted, and nobody without the key is one. Several keys, one a line: the first is used, all are accepted. The file is followed."`
	ClusterTLSCert string `group:"cluster" key:"cluster.tls_cert" placeholder:"FILE" help:"Certificate of this node, which flamingo tls node writes, beside the key: each node is one by a certificate of its own."`
	ClusterTLSKey  string `group:"cluster" key:"cluster.tls_key" placeholder:"FILE" help:"Private key of that certificate."`
	ClusterTLSCA   string `group:"cluster" name:"cluster-tls-ca" key:"cluster.tls_ca" placeholder:"FILE" help:"CA of the certificates of all nodes, which flamingo tls ca writes."`

	Admin     string `group:"admin" key:"admin.address" default:"127.0.0.1:4180" help:"Where the admin API listens; beyond loopback with --token-file alone."`
	TokenFile string `group:"admin" key:"admin.token_file" placeholder:"FILE" help:"File with the tokens that the admin API takes, one a line, and behind each what it is for: read, send, admin, with commas between them; nothing is everything."`

	LogLevel  slog.Level `group:"log" key:"log.level" default:"info" help:"debug, info, warn or error."`
	LogFormat string     `group:"log" key:"log.format" enum:"text,json" default:"text" help:"text or json."`
}

// Help is the end of the help text.
func (*runCommand) Help() string {
	return `Each setting is a flag, a variable of the environment and a key of the file: --cluster-name is ` +
		`FLAMINGO_CLUSTER_NAME and the key in brackets, cluster.name. The flag goes before the variable, ` +
		`the variable before the file, the file before the default.`
}

// check finds what is wrong with the settings and what no later check would
// find: what they mean together.
func (r *runCommand) check() error {
	if r.Expect > 1 && r.Data == "" && !r.Ephemeral {
		return badUse("--expect %d without --data: a cluster of nodes that keep nothing is gone when most of them have ended; "+
			"give --data DIR, or --ephemeral if that is meant", r.Expect)
	}
	if !r.clustered() && r.Advertise+r.ClusterName != "" {
		return badUse("--advertise and --cluster-name are for a node that belongs to a cluster: give --cluster, --join or --expect, too")
	}
	if !r.clustered() && r.ClusterKeyFile+r.ClusterTLSCert+r.ClusterTLSKey+r.ClusterTLSCA != "" {
		return badUse("--cluster-key-file and --cluster-tls-… are for a node that belongs to a cluster: give --cluster, --join or --expect, too")
	}
	if r.DrainWait < 0 || r.DrainWait > maxDrainTime {
		return badUse("--drain-wait %v (key drain.wait): want 0 to %v", r.DrainWait, maxDrainTime)
	}
	if r.DrainDuration < 0 || r.DrainDuration > maxDrainTime {
		return badUse("--drain-duration %v (key drain.duration): want 0 to %v", r.DrainDuration, maxDrainTime)
	}
	if err := r.checkAttach(); err != nil {
		return err
	}
	if r.Data != "" && r.Ephemeral {
		return badUse("--ephemeral beside --data %s: one of them", r.Data)
	}
	return nil
}

// clustered reports whether the node belongs to a cluster, as node.Opts has it.
func (r *runCommand) clustered() bool { return r.Cluster != "" || len(r.Join) > 0 || r.Expect != 0 }

// opts are the settings as options of a node.
func (r *runCommand) opts() (node.Opts, error) {
	slow, err := transport.ParseSlowPolicy(r.SlowClient)
	if err != nil {
		return node.Opts{}, err
	}
	opts := node.Opts{
		Listen:           r.Listen,
		Framing:          r.Framing,
		MaxConns:         r.MaxConns,
		ActivityTimeout:  r.ActivityTimeout,
		OutputBytes:      int(r.OutputBytes),
		TotalOutputBytes: int64(r.TotalOutputBytes),
		SlowClient:       slow,
		CloseTimeout:     r.CloseTimeout,
		DrainWait:        r.DrainWait,
		DrainDuration:    r.DrainDuration,
		ClosedMemory:     r.ClosedMemory,
		HalfClose:        r.HalfClose,
		QueueBytes:       int64(r.QueueBytes),
		GroupsPerConn:    r.GroupsPerConn,
		MaxGroups:        r.MaxGroups,
		MetaBytes:        int(r.MetaBytes),
		TotalMetaBytes:   int(r.TotalMetaBytes),
		MaxWatches:       r.MaxWatches,
		MaxWatched:       r.MaxWatched,
		Loops:            r.Loops,
		Portable:         r.Portable,
		Ignore:           node.IgnoreCloses, // the built-in applications keep nothing of a client
		DataDir:          r.Data,
		Cluster:          r.Cluster,
		Advertise:        r.Advertise,
		Join:             r.Join,
		Expect:           r.Expect,
		ClusterName:      r.ClusterName,
		Name:             r.Name,
		Insecure:         r.Insecure,
		ClusterKeyFile:   r.ClusterKeyFile,
		ClusterTLSCert:   r.ClusterTLSCert,
		ClusterTLSKey:    r.ClusterTLSKey,
		ClusterTLSCA:     r.ClusterTLSCA,
		SendTimeout:      r.SendTimeout,
		LostAfter:        r.LostAfter,
	}
	if r.attaches() {
		opts.Ignore = 0 // workers keep something of a client
	}
	raw := isRaw(r.Framing)
	if raw {
		opts.BufferSize = int(r.MaxMessage) // the same to whoever sends
	}
	if !raw || slices.ContainsFunc(r.Listen, isWeb) {
		opts.MaxMessage = int(r.MaxMessage)
	}
	return opts, nil
}
