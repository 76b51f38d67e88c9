package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"flamingo/idspace"
)

// checkHostCommand tries what a node needs of its machine, before there is one.
type checkHostCommand struct {
	settingsFlags

	JSON bool `short:"j" help:"Print JSON."`
}

// Help is the end of the help text.
func (*checkHostCommand) Help() string {
	return `Ports are opened and closed again, names are resolved, files are read. The exit code is 0, 1 for warnings, ` +
		`2 if a node would not start. While a node runs on the machine, its own ports are taken.`
}

// filesBeside is how many files a node has open beside its connections: links,
// stores, listeners, and what the API takes, with room.
const filesBeside = 256

// resolveTimeout bounds the resolution of one name.
const resolveTimeout = 3 * time.Second

// A machine is what a node would run on.
type machine struct {
	files   func() (limit uint64, ok bool)
	sysctl  func(name string) (value int64, ok bool)
	synced  func() (synced, ok bool)
	now     func() time.Time
	listen  func(ctx context.Context, network, address string) error
	resolve func(ctx context.Context, host string) error
}

// A trial is one thing that was tried.
type trial struct {
	Level  string `json:"level"`
	Name   string `json:"check"`
	What   string `json:"what"`
	Advice string `json:"advice,omitempty"`
	level  int
}

// Run prints what was tried.
func (c *checkHostCommand) Run(ctx context.Context, con *console) error {
	run, _, err := c.settle(ctx, con)
	if err != nil {
		return err
	}
	trials := thisMachine().try(ctx, run)
	level := levelOK
	rows := [][]string{{"", "CHECK", ""}}
	for _, t := range trials {
		level = max(level, t.level)
		for i, line := range strings.Split(t.What, "\n") {
			if i > 0 {
				rows = append(rows, []string{" ", " ", line})
				continue
			}
			rows = append(rows, []string{t.Level, t.Name, line})
		}
		if t.Advice != "" {
			rows = append(rows, []string{" ", " ", t.Advice})
		}
	}
	if c.JSON {
		err = json.NewEncoder(con.out).Encode(map[string]any{"level": levelNames[level], "checks": trials})
	} else {
		err = printTable(con.out, rows[1:])
	}
	if err != nil || level == levelOK {
		return err
	}
	return toldError{verdictError{level}}
}

// trials are collected in order.
type trials []trial

func (t *trials) add(level int, name, what, advice string) {
	*t = append(*t, trial{levelNames[level], name, what, advice, level})
}

// try tries everything.
func (m *machine) try(ctx context.Context, run *runCommand) []trial {
	var all trials
	if err := run.faults(); err != nil {
		all.add(levelCritical, "settings", strings.TrimPrefix(err.Error(), "flamingo: "), "")
	} else {
		all.add(levelOK, "settings", "a node would start with them", "")
	}
	m.tryPorts(ctx, run, &all)
	m.tryFiles(run, &all)
	m.trySysctl(run, &all)
	m.tryClock(&all)
	m.tryNames(ctx, run, &all)
	return all
}

// tryPorts opens what the node would listen on, and closes it again.
func (m *machine) tryPorts(ctx context.Context, run *runCommand, all *trials) {
	try := func(network, address, option string) {
		err := m.listen(ctx, network, address)
		switch name := "port " + network + " " + address; {
		case err == nil:
			all.add(levelOK, name, "free, for "+option, "")
		case isInUse(err):
			all.add(levelCritical, name, "in use", "choose another with "+option+", or end who has it")
		default:
			all.add(levelCritical, name, err.Error(), "it is that of "+option)
		}
	}
	for _, text := range run.Listen {
		if l, err := parseListener(text); err == nil && strings.HasPrefix(l.Network, "tcp") {
			try("tcp", l.Address, "--listen (key listen)")
		}
	}
	if run.clustered() {
		address := run.Cluster
		if address == "" {
			address = "127.0.0.1:4110" // as node.Opts has it
		}
		try("tcp", address, "--cluster (key cluster.address)")
		try("udp", address, "--cluster (key cluster.address)")
	}
	try("tcp", run.Admin, "--admin (key admin.address)")
}

// tryFiles compares the limit of open files with the connections.
func (m *machine) tryFiles(run *runCommand, all *trials) {
	limit, ok := m.files()
	const enough = 65536 // a limit that was raised at all
	switch advice := "raise it: LimitNOFILE= of systemd, ulimit -n of a shell"; {
	case !ok:
		all.add(levelWarning, "open files", "the limit is not known", "")
	case run.MaxConns > 0 && limit < uint64(run.MaxConns)+filesBeside:
		all.add(levelWarning, "open files", fmt.Sprintf("at most %d, for --max-conns %d and %d of the node's own", limit, run.MaxConns, filesBeside), advice)
	case limit < enough:
		all.add(levelWarning, "open files", fmt.Sprintf("at most %d, so that there are no more connections than that", limit), advice)
	default:
		all.add(levelOK, "open files", fmt.Sprintf("at most %d", limit), "")
	}
}

// trySysctl compares limits of the kernel with what many clients need. Those
// that the system does not have are left out.
func (m *machine) trySysctl(run *runCommand, all *trials) {
	conns := int64(run.MaxConns)
	for _, s := range []struct {
		name  string
		least int64
		what  string
	}{
		{"net.core.somaxconn", 1024, "connections that wait to be accepted"},
		{"net.ipv4.tcp_max_syn_backlog", 1024, "connections that are being opened"},
		{"fs.file-max", conns + filesBeside, "open files of all processes"},
		{"net.netfilter.nf_conntrack_max", conns, "connections that the packet filter follows"},
	} {
		value, ok := m.sysctl(s.name)
		switch {
		case !ok:
		case value < s.least:
			all.add(levelWarning, s.name, fmt.Sprintf("%d %s", value, s.what), fmt.Sprintf("sysctl -w %s=%d, or more", s.name, s.least))
		default:
			all.add(levelOK, s.name, fmt.Sprintf("%d %s", value, s.what), "")
		}
	}
}

// tryClock looks whether the clock can be right: node numbers are made of time.
func (m *machine) tryClock(all *trials) {
	now := m.now()
	synced, ok := m.synced()
	switch begin := idspace.Tick(0).Time(); {
	case now.Before(begin):
		all.add(levelCritical, "clock", fmt.Sprintf("it is %s here, before node numbers begin", now.UTC().Format(time.RFC3339)), "set it, and keep it set: chrony, ntpd, systemd-timesyncd")
	case ok && !synced:
		all.add(levelWarning, "clock", "nothing keeps it set, as the kernel sees it", "run a time service, here or on the host: chrony, ntpd, systemd-timesyncd")
	default:
		all.add(levelOK, "clock", now.UTC().Format(time.RFC3339), "")
	}
}

// tryNames resolves the hosts among the places to join.
func (m *machine) tryNames(ctx context.Context, run *runCommand, all *trials) {
	for _, place := range run.Join {
		kind, host, ok := strings.Cut(place, ":")
		if !ok || kind != "dns" && kind != "srv" && kind != "file" && kind != "exec" {
			kind, host = "", place
		}
		if kind != "" && kind != "dns" {
			continue // what they say changes, and is followed
		}
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if net.ParseIP(strings.Trim(host, "[]")) != nil || host == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
		err := m.resolve(ctx, host)
		cancel()
		if err != nil {
			all.add(levelWarning, "join "+place, err.Error(), "it is tried again and again; see the name, and the resolver")
			continue
		}
		all.add(levelOK, "join "+place, "resolves", "")
	}
}

// thisMachine is the one that the program runs on.
func thisMachine() *machine {
	return &machine{
		files: openFiles, sysctl: readSysctl, synced: clockSynced, now: time.Now, listen: listenOnce,
		resolve: func(ctx context.Context, host string) error {
			_, err := net.DefaultResolver.LookupHost(ctx, host)
			return err
		},
	}
}

// listenOnce opens a port and closes it.
func listenOnce(ctx context.Context, network, address string) error {
	var lc net.ListenConfig
	if network == "udp" {
		pc, err := lc.ListenPacket(ctx, network, address)
		if err != nil {
			return err
		}
		return pc.Close()
	}
	ln, err := lc.Listen(ctx, network, address)
	if err != nil {
		return err
	}
	return ln.Close()
}
