package main

import (
	"net"
	"strconv"
)

const (
	// portStep lies between the ports of one node of a cluster on one machine
	// and those of the next.
	portStep = 100

	// The ports of a node, counted from that of its clients: 4100, 4110, 4180.
	clusterPort = 10
	adminPort   = 80

	defaultAdmin = "127.0.0.1:4180"
)

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// place is an address without the host, which a connection names more exactly
// than its listener.
func place(addr net.Addr) string {
	if _, port, err := net.SplitHostPort(addr.String()); err == nil {
		return port
	}
	return addr.String()
}

// reachable is where a client on this machine connects to a listener.
func reachable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return loopback(tcp.Port)
	}
	return addr.String()
}
