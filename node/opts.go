package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"flamingo/framing"
	"flamingo/transport"
)

// DefaultPort is where clients connect when neither Port nor Listen says.
const DefaultPort = 4100

// SlowClient says what becomes of a send to a client whose output queue is full.
type SlowClient = transport.SlowPolicy

// The policies for slow clients. A program of another node learns of a full client
// by Undelivered first; from then on its SendData, SendMany and Send to that id
// answer ErrBackpressure at once, under SlowDropNewest as under SlowFailSender, until
// half of Opts.OutputBytes is free, or for 5 s. SendClose is never refused so.
const (
	SlowClose      = transport.SlowClose      // the connection ends; the send answers ErrGone
	SlowDropNewest = transport.SlowDropNewest // the message is dropped and reported by Undelivered
	SlowFailSender = transport.SlowFailSender // the send answers ErrBackpressure
)

// Ignore says which events a program does not want.
type Ignore = transport.Ignore

// The events that can be ignored; combine them with |.
const (
	IgnoreOpens  = transport.IgnoreOpens
	IgnoreCloses = transport.IgnoreCloses
)

// Opts are the options of a node. The zero value listens on DefaultPort and
// hands out what was read, as it was read.
type Opts struct {
	// Port is the TCP port for clients, on all addresses: 1 to 65535. Zero
	// means DefaultPort, or what Listen says.
	Port int

	// ActivityTimeout ends a connection from which no byte was received and
	// to which nothing was sent for so long. Zero means never; else 1 ms to
	// 10,000 h, met up to 0.1 s late.
	ActivityTimeout time.Duration

	// BufferSize is the longest message of the raw framing, in bytes. Zero
	// means 1024; at most 1 GiB. Other framings read as much as there is.
	BufferSize int

	// BufferTillDelim hands out messages that end in Delim, which they
	// include. What is sent passes through as it is.
	BufferTillDelim bool
	Delim           byte

	// Listen says where clients connect, in place of Port: tcp://HOST:PORT,
	// unix:///PATH, or for WebSockets ws://HOST:PORT/PATH, with options as query
	// parameters, such as tcp://:4100?framing=line&max-conns=10000. Port 0 lets
	// the system choose; see Node.Addrs.
	Listen []string

	// Framing is the framing of listeners that name none, in place of
	// BufferTillDelim: raw, delimiter, line, length, fixed or netstring, with
	// options as in a listener: "length&length-bytes=2". WebSockets have messages
	// of their own and need none.
	Framing string

	// Codec is a framing of the program's own, in place of Framing.
	Codec framing.Codec

	// MaxMessage is the longest message in bytes that is received, and unless
	// BufferTillDelim passes it through sent, for listeners that name no
	// framing, and for those of WebSockets that name no max-message; raw has
	// BufferSize instead. Zero means 1 MiB; at most 1 GiB. To a connection of
	// another node goes as much, at least 1 MiB and at most 15 MiB.
	MaxMessage int

	// MaxConns bounds the connections of this node, those included of which an
	// open or a close is not taken, or under Serve not handled. At most 1<<24.
	// Zero means what the limit of open files leaves after a reserve of 256,
	// at most 1<<20; half of a limit of 512 or less; and 65,536 where the
	// system has no such limit.
	MaxConns int

	// Loops is the number of event loops. Zero means GOMAXPROCS, at most 4.
	Loops int

	// QueueBytes bounds the memory of received messages that were not taken,
	// 48 bytes for each included. At the bound, reading from clients pauses.
	// Zero means 16 MiB; at least 64 KiB.
	QueueBytes int64

	// OutputBytes bounds what one client was sent and has not taken. A message
	// that finds the queue empty is always accepted. Zero means 1 MiB; at most
	// 1 GiB.
	OutputBytes int

	// TotalOutputBytes bounds what all clients were sent and have not taken. Above
	// it the one with the most of it is ended, reason slow, and so on. Zero means
	// 1 GiB; at least 1 MiB.
	TotalOutputBytes int64

	// GroupsPerConn bounds the groups of one connection. Zero means
	// DefaultGroupsPerConn; at most 256.
	GroupsPerConn int

	// MaxGroups bounds the groups that have members on this node. Zero means
	// DefaultMaxGroups; at most 1<<21.
	MaxGroups int

	// MetaBytes bounds the metadata of one connection, keys and values and 4 bytes
	// for each pair, and TotalMetaBytes that of all connections of this node. Zero
	// means DefaultMetaBytes, at most 8 KiB, and DefaultTotalMetaBytes, at most
	// 1 GiB.
	MetaBytes, TotalMetaBytes int

	// SlowClient says what happens at the bound of one client.
	SlowClient SlowClient

	// HalfClose is how long a client that has shut its sending side may wait
	// for the answer to its last message. Zero means 100 ms; at most 1 h.
	HalfClose time.Duration

	// CloseTimeout bounds the writing of what was accepted for a connection
	// that ends. Zero means 5 s; at most 1 h.
	CloseTimeout time.Duration

	// DrainWait and DrainDuration are the times of Drain: how long the node goes
	// on as before once it says that it drains, and over how long it then ends
	// its connections. Zero is none, and all at once; each at most 24 h. See
	// DrainPlan.
	DrainWait     time.Duration
	DrainDuration time.Duration

	// Ignore says which events the program does not want: they are discarded.
	// Events that are neither taken nor ignored hold their place, and at
	// MaxConns accepting pauses.
	Ignore Ignore

	// ClosedMemory bounds the ended connections of which this node remembers when
	// and why they ended, for ErrGone on any node: about 48 bytes each, the oldest
	// is forgotten. Zero means 131,072; at most 1<<21.
	ClosedMemory int

	// Portable serves each connection by goroutines, as on systems without
	// epoll.
	Portable bool

	// DataDir is a directory in which the node keeps the number of its last
	// life, so that ids stay unique even if the clock is set back between two
	// lives, and in a cluster its part of what the nodes have agreed on. It is
	// made if it is missing, and used by one process at a time. Empty means
	// that the clock alone vouches for it, and a cluster forgets what it agreed
	// on with the last of its voters.
	DataDir string

	// Cluster is the address of the one port between nodes, TCP and UDP, as
	// IP:PORT, or :PORT for all addresses. Empty means 127.0.0.1:4110. A node
	// belongs to a cluster when Cluster, Join or Expect is given, and stands
	// alone otherwise.
	Cluster string

	// Advertise is where other nodes reach that port, as IP:PORT. Empty means
	// Cluster, which then names one address.
	Advertise string

	// Join says where to look for other nodes, at most 64 places; the same list
	// may be given to every node:
	//
	//	10.0.0.1, 10.0.0.1:4110, [::1]:4110, node1, node1:4110
	//	dns:nodes.example.org        every address of a name, dns:name:port
	//	srv:_flamingo._tcp.example.org
	//	file:/etc/flamingo/nodes     a place a line; # begins a comment
	//	exec:/usr/local/bin/nodes eu what a program prints, as in a file
	Join []string

	// Expect is how many new nodes found a cluster together: 1, 3 or 5. A node
	// that finds a cluster joins it instead. Zero means 1 without Join, and with
	// Join that the node waits for a cluster.
	Expect int

	// ClusterName keeps clusters apart that could reach each other. Empty means
	// "flamingo"; at most 64 bytes.
	ClusterName string

	// Name is the node's name for people. Empty means the host's name; at most
	// 64 bytes.
	Name string

	// Insecure allows clear text between nodes on other addresses than
	// loopback. Set it on a network that nobody else can reach; not beside
	// ClusterKeyFile.
	Insecure bool

	// ClusterKeyFile is the path of a file with the key that all nodes of the
	// cluster share, 32 bytes in base64, or with several, a key a line: the first
	// is used, all are accepted. Nobody but its owner may read it, or its group:
	// mode 0600 or 0640. With it everything between nodes is encrypted, and nobody
	// without it is one. The file is looked at once a second, so that a key can be
	// changed while the cluster serves. Empty means clear text.
	ClusterKeyFile string

	// ClusterTLSCert, ClusterTLSKey and ClusterTLSCA are paths of files in PEM form
	// that make each node one by its own certificate, beside the key: this node's
	// certificate, its private key, and the CA that made those of all nodes. The
	// certificate names the node as flamingo://CLUSTERNAME/node/NAME. All or none;
	// a change is taken over like one of the key file.
	ClusterTLSCert, ClusterTLSKey, ClusterTLSCA string

	// Admin is where the program shows the node over HTTP, as IP:PORT, for other
	// nodes to list. The node opens nothing there. Empty for none.
	Admin string

	// Waiting is told what a node of a cluster waits for while it is opened, or
	// later for a further number: whom it sees, and what to do if that is not
	// what was meant. It is called when that changes, with "" when the wait is
	// over, and must not block. Nil: the log alone says so.
	Waiting func(reason string)

	// SendTimeout is how long a send waits for room on the way to another node.
	// Zero means 5 s; at most 1 h.
	SendTimeout time.Duration

	// LostAfter is how long nobody who votes on numbers may have had contact with a
	// node before its number is retired: its ids are gone, and when it comes back
	// it takes another number. Zero means 1 h; 1 min to 720 h; less than 0 for never.
	LostAfter time.Duration

	// MaxWatches bounds the watches that this node has begun, and those that it
	// lets any other node have on its connections: Watch answers ErrBackpressure,
	// or tells WatchRefused. Zero means 65,536; at most 1<<21.
	MaxWatches int

	// MaxWatched bounds the watches of all nodes together on the connections of
	// this one. Zero means 262,144; at most 1<<21.
	MaxWatched int

	// Logger receives what an operator should see. Nil means slog.Default().
	Logger *slog.Logger
}

// transportConfig returns what the options mean for the transport, and every
// fault that the transport does not find itself. The ids are still missing; a
// stand-in takes the place of what is faulty.
func (o *Opts) transportConfig() (transport.Config, []error) {
	cfg := transport.Config{
		Loops:            o.Loops,
		Portable:         o.Portable,
		MaxConns:         o.MaxConns,
		ActivityTimeout:  o.ActivityTimeout,
		QueueBytes:       o.QueueBytes,
		OutputBytes:      o.OutputBytes,
		TotalOutputBytes: o.TotalOutputBytes,
		Slow:             o.SlowClient,
		HalfClose:        o.HalfClose,
		CloseTimeout:     o.CloseTimeout,
		Ignore:           o.Ignore,
		ClosedMemory:     o.ClosedMemory,
		Logger:           o.Logger,
	}
	faults := o.contradictions()
	if o.SlowClient > SlowFailSender {
		faults = append(faults, badOption("SlowClient", uint8(o.SlowClient), "SlowClose, SlowDropNewest or SlowFailSender"))
		cfg.Slow = SlowClose
	}
	codec, err := o.codec()
	if err != nil {
		faults = append(faults, optionError{err})
		codec, _ = framing.Raw(0)
	}
	for _, text := range o.listeners() {
		l, err := transport.ParseListener(text, codec)
		if err != nil {
			faults = append(faults, optionError{err})
			l = transport.Listener{Network: "tcp", Address: ":0", Codec: codec}
		}
		if l.WebSocket != nil && l.WebSocket.MaxMessage == 0 {
			l.WebSocket.MaxMessage = allowedSize(o.MaxMessage)
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	return cfg, faults
}

func (o *Opts) listeners() []string {
	if len(o.Listen) > 0 {
		return o.Listen
	}
	port := o.Port
	if port <= 0 || port > 65535 { // zero, or refused
		port = DefaultPort
	}
	return []string{"tcp://" + net.JoinHostPort("", strconv.Itoa(port))}
}

// hasWebSockets reports whether a listener is one of WebSockets, which MaxMessage
// bounds whatever the framing of the others is.
func (o *Opts) hasWebSockets() bool {
	return slices.ContainsFunc(o.listeners(), func(text string) bool {
		scheme, _, _ := strings.Cut(text, "://")
		return strings.EqualFold(scheme, "ws") || strings.EqualFold(scheme, "wss")
	})
}

func badOption(option string, value any, allowed string) error {
	return fmt.Errorf("%w: %s %v: allowed is %s", ErrBadOption, option, value, allowed)
}

// contradictions finds what no later check would: single values, and options
// of which only one can hold.
func (o *Opts) contradictions() (faults []error) {
	faults = DrainPlan{o.DrainWait, o.DrainDuration}.faults()
	if o.Port < 0 || o.Port > 65535 {
		faults = append(faults, badOption("Port", o.Port, "0 to 65535"))
	}
	if o.Port != 0 && len(o.Listen) > 0 {
		faults = append(faults, badOption("Port", o.Port, "0 beside Listen, which names the ports"))
	}
	if o.BufferSize < 0 || o.BufferSize > framing.MaxMessageLimit {
		faults = append(faults, badOption("BufferSize", o.BufferSize, fmt.Sprintf("0 to %d", framing.MaxMessageLimit)))
	}
	if o.MaxMessage < 0 || o.MaxMessage > framing.MaxMessageLimit {
		faults = append(faults, badOption("MaxMessage", o.MaxMessage, fmt.Sprintf("0 to %d", framing.MaxMessageLimit)))
	}
	faults = append(faults, o.groupFaults()...)
	faults = append(faults, o.watchFaults()...)
	if o.Delim != 0 && !o.BufferTillDelim {
		faults = append(faults, badOption("Delim", strconv.QuoteRune(rune(o.Delim)), "given only with BufferTillDelim"))
	}
	var framings []string
	if o.BufferTillDelim {
		framings = append(framings, "BufferTillDelim")
	}
	if o.Framing != "" {
		framings = append(framings, "Framing "+strconv.Quote(o.Framing))
	}
	if o.Codec != nil {
		framings = append(framings, "Codec")
	}
	if len(framings) > 1 {
		faults = append(faults, badOption("framing", strings.Join(framings, " and "), "one of them"))
	}
	if o.MaxMessage != 0 && (o.Codec != nil || len(framings) == 0) && !o.hasWebSockets() {
		faults = append(faults, badOption("MaxMessage", o.MaxMessage, "given only with BufferTillDelim, Framing or WebSockets; raw has BufferSize, a Codec its own limit"))
	}
	return faults
}

// codec returns the framing of listeners that name none. A size that
// contradictions refuses counts as not given.
func (o *Opts) codec() (framing.Codec, error) {
	switch {
	case o.Codec != nil:
		return o.Codec, nil
	case o.BufferTillDelim:
		return framing.Delimited(framing.DelimiterConfig{Delimiter: []byte{o.Delim}, MaxMessage: allowedSize(o.MaxMessage)})
	case o.Framing == "":
		return framing.Raw(allowedSize(o.BufferSize))
	}
	options, err := url.ParseQuery("framing=" + o.Framing)
	if err != nil {
		return nil, badOption("Framing", strconv.Quote(o.Framing), "a framing with options as in a listener, such as length&length-bytes=2")
	}
	if err := errors.Join(o.completeFraming(options)...); err != nil {
		return nil, err
	}
	return framing.Parse(options.Get("framing"), options)
}

func allowedSize(n int) int {
	if n < 0 || n > framing.MaxMessageLimit {
		return 0
	}
	return n
}

// completeFraming puts the sizes of other options among those of Framing, and
// finds what framing.Parse leaves out of account or could not name.
func (o *Opts) completeFraming(options url.Values) (faults []error) {
	bad := func(allowed string) {
		faults = append(faults, badOption("Framing", strconv.Quote(o.Framing), allowed))
	}
	for name, values := range options {
		switch {
		case name == "framing" && len(values) > 1:
			bad("one framing")
		case name != "framing" && !slices.Contains(framing.Options(), name):
			bad("with the options " + strings.Join(framing.Options(), ", "))
		}
	}
	name := options.Get("framing")
	if size := allowedSize(o.MaxMessage); size != 0 {
		own := name == "raw" || name == "fixed" || options.Has("max-message")
		switch {
		case own && o.hasWebSockets(): // it is theirs
		case name == "raw" || name == "fixed":
			faults = append(faults, badOption("MaxMessage", size, "0 beside Framing "+name+", which has a size of its own"))
		case options.Has("max-message"):
			faults = append(faults, badOption("MaxMessage", size, "0 beside max-message in Framing"))
		default:
			options.Set("max-message", strconv.Itoa(size))
		}
	}
	if size := allowedSize(o.BufferSize); size != 0 && name == "raw" {
		if options.Has("buffer-size") {
			faults = append(faults, badOption("BufferSize", size, "0 beside buffer-size in Framing"))
		} else {
			options.Set("buffer-size", strconv.Itoa(size))
		}
	}
	return faults
}
