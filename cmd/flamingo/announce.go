package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"flamingo/node"
)

// announce tells that the node is ready, and what to type next: to people as a
// block on standard output, to programs as a line of the log.
func (r *runCommand) announce(con *console, n *node.Node, admin string, logger *slog.Logger) {
	self := selfOf(n)
	var clients []string
	for i, addr := range n.Addrs() {
		used, _ := framingOf(r.Listen[i], r.Framing) // parsed before
		where := fmt.Sprintf("%s://%s (%s)", addr.Network(), addr, used)
		if u, err := url.Parse(r.Listen[i]); err == nil && used == framingWeb {
			where = fmt.Sprintf("%s://%s%s", u.Scheme, addr, u.EscapedPath())
		}
		clients = append(clients, where)
	}
	if warning := fewFiles(r.MaxConns); warning != "" {
		logger.Warn(warning)
	}
	if r.LogFormat == "json" {
		logger.Info("ready", "name", self.Name, "number", n.Number(), "clients", clients, "cluster", self.Cluster, "admin", admin)
		return
	}
	cluster, next := "none, the node stands alone", ""
	if r.clustered() {
		cluster = fmt.Sprintf("%s, named %q", self.Cluster, cmp.Or(r.ClusterName, defaultClusterName))
		next = r.nextNode(n, self, admin)
	}
	fmt.Fprintf(con.out, "flamingo: node %s is ready, number %s\n\n", printable(self.Name), n.Number())
	for _, line := range [][2]string{
		{"clients", strings.Join(clients, " ")},
		{"cluster", cluster},
		{"admin", admin},
		{"data", cmp.Or(r.Data, "none; the clock alone keeps ids unique")},
		{"app", r.application()},
		{"next node", next},
		{"try", r.firstSteps(n, admin)},
	} {
		if line[1] != "" {
			fmt.Fprintf(con.out, "  %-9s  %s\n", line[0], line[1])
		}
	}
	fmt.Fprintln(con.out)
}

const defaultClusterName = "flamingo"

// selfOf describes a node as its cluster sees it.
func selfOf(n *node.Node) node.NodeInfo {
	for _, info := range n.Nodes() {
		if info.Self {
			return info
		}
	}
	return node.NodeInfo{Number: n.Number()}
}

// nextNode is the command that starts one more node: on this machine, with
// other ports, if the cluster is on loopback.
func (r *runCommand) nextNode(n *node.Node, self node.NodeInfo, admin string) string {
	addr, err := netip.ParseAddrPort(self.Cluster)
	if err != nil {
		return ""
	}
	words := []string{program() + " run"}
	if by := len(n.Nodes()) * portStep; addr.Addr().IsLoopback() {
		words = append(words,
			"--listen tcp://"+shifted(n.Addrs()[0].String(), by),
			"--cluster "+shifted(self.Cluster, by),
			"--admin "+shifted(strings.TrimPrefix(admin, "http://"), by))
	} else {
		words = append(words, fmt.Sprintf("--cluster :%d", addr.Port()))
	}
	words = append(words, "--join "+self.Cluster)
	if r.Insecure {
		words = append(words, "--insecure")
	}
	if r.ClusterKeyFile != "" {
		words = append(words, "--cluster-key-file "+r.ClusterKeyFile)
	}
	if r.ClusterTLSCA != "" {
		words = append(words, "--cluster-tls-ca "+r.ClusterTLSCA+" --cluster-tls-cert FILE --cluster-tls-key FILE")
	}
	if r.ClusterName != "" {
		words = append(words, "--cluster-name "+r.ClusterName)
	}
	if r.TokenFile != "" {
		words = append(words, "--token-file "+r.TokenFile)
	}
	if r.Data != "" {
		words = append(words, "--data DIR")
	}
	return strings.Join(words, " ")
}

// shifted is an address on loopback whose port is so much higher, for one more
// node.
func shifted(address string, by int) string {
	_, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	return loopback((port + by) % (1 << 16))
}

// firstSteps is what to type to see the node at work.
func (r *runCommand) firstSteps(n *node.Node, admin string) string {
	var steps []string
	for i, addr := range n.Addrs() {
		if used, _ := framingOf(r.Listen[i], r.Framing); used == "line" && addr.Network() == "tcp" {
			steps = append(steps, program()+" connect "+reachable(addr))
			break
		}
	}
	nodes := program() + " nodes"
	if address := strings.TrimPrefix(admin, "http://"); address != defaultAdmin {
		nodes += " --addr " + address
	}
	if r.TokenFile != "" {
		nodes += " --token-file " + r.TokenFile
	}
	return strings.Join(append(steps, nodes), " · ")
}

// fewFiles warns if the limit of open files is less than what the node may
// need: its connections, and a reserve for all else.
func fewFiles(maxConns int) string {
	files, ok := openFiles()
	if !ok {
		return ""
	}
	const reserve = 256 // as node.Opts.MaxConns has it
	want := uint64(manyFiles)
	if maxConns > 0 {
		want = uint64(maxConns) + reserve
	}
	if files >= want {
		return ""
	}
	return fmt.Sprintf("the limit of open files is %d, which bounds the connections; raise it: ulimit -n 1048576, or LimitNOFILE= of the unit", files)
}

// manyFiles is the limit of open files below which a node says so if nobody
// has bounded its connections: what systems give to a service that asks.
const manyFiles = 65536
