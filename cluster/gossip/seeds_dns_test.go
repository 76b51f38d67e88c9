package gossip_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"flamingo/cluster/gossip"
)

// Types of records and classes, RFC 1035, 2782, 3596.
const (
	typeA    = 1
	typeAAAA = 28
	typeSRV  = 33
	classIN  = 1
)

// A question is what a server of names is asked.
type question struct {
	name string // with a dot at its end
	kind uint16
}

// nameServer is a server of names on loopback, over UDP: it has the data of
// records, and knows no other name. The end of the test ends it.
func nameServer(t *testing.T, records map[question][][]byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		packet := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			if answer := answerTo(packet[:n], records); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answerTo returns the answer to a packet with one question, nil if it is none.
func answerTo(packet []byte, records map[question][][]byte) []byte {
	const header = 12
	if len(packet) < header || binary.BigEndian.Uint16(packet[4:]) != 1 {
		return nil
	}
	var q question
	at := header
	for at < len(packet) && packet[at] != 0 {
		n := int(packet[at])
		if at+1+n >= len(packet) {
			return nil
		}
		q.name += strings.ToLower(string(packet[at+1:at+1+n])) + "."
		at += 1 + n
	}
	end := at + 5 // the root, type, class
	if end > len(packet) {
		return nil
	}
	q.kind = binary.BigEndian.Uint16(packet[at+1:])
	data := records[q]
	status := uint16(0x8580) // an answer, with authority
	if len(data) == 0 && !slices.Contains([]string{"nodes.test.", "n1.test."}, q.name) {
		status |= 3 // no such name
	}
	answer := binary.BigEndian.AppendUint16(slices.Clone(packet[:2]), status)
	for _, count := range []int{1, len(data), 0, 0} {
		answer = binary.BigEndian.AppendUint16(answer, uint16(count))
	}
	answer = append(answer, packet[header:end]...)
	for _, d := range data {
		answer = append(answer, 0xc0, header) // the name of the question
		answer = binary.BigEndian.AppendUint16(answer, q.kind)
		answer = binary.BigEndian.AppendUint16(answer, classIN)
		answer = binary.BigEndian.AppendUint32(answer, 1) // seconds
		answer = binary.BigEndian.AppendUint16(answer, uint16(len(d)))
		answer = append(answer, d...)
	}
	return answer
}

// service is the data of a record of type SRV.
func service(port uint16, target string) []byte {
	b := []byte{0, 0, 0, 0} // priority and weight
	b = binary.BigEndian.AppendUint16(b, port)
	for label := range strings.SplitSeq(target, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return b
}

func TestSeedsAreLookedUpAtAServerOfNames(t *testing.T) {
	six := netip.MustParseAddr("fd00::1")
	r := nameServer(t, map[question][][]byte{
		{"nodes.test.", typeA}:              {{10, 0, 0, 1}, {10, 0, 0, 2}},
		{"nodes.test.", typeAAAA}:           {six.AsSlice()},
		{"n1.test.", typeA}:                 {{10, 0, 0, 9}},
		{"_flamingo._tcp.test.", typeSRV}:   {service(5, "n1.test."), service(6, "nodes.test.")},
		{"_incomplete._tcp.test.", typeSRV}: {service(5, "n1.test."), service(6, "gone.test.")},
	})
	for _, c := range []struct {
		spec  string
		want  string
		fails bool
	}{
		{"dns:nodes.test.", "10.0.0.1:4110 10.0.0.2:4110 [fd00::1]:4110", false},
		{"nodes.test.:7", "10.0.0.1:7 10.0.0.2:7 [fd00::1]:7", false},
		{"srv:_flamingo._tcp.test.", "10.0.0.1:6 10.0.0.2:6 10.0.0.9:5 [fd00::1]:6", false},
		{"srv:_incomplete._tcp.test.", "10.0.0.9:5", true},
		{"dns:gone.test.", "", true},
		{"srv:_gone._tcp.test.", "", true},
	} {
		addrs, err := gossip.Resolve(t.Context(), r, c.spec)
		slices.SortFunc(addrs, netip.AddrPort.Compare)
		var got []string
		for _, a := range addrs {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v; want %q, an error: %t", c.spec, got, err, c.want, c.fails)
		}
	}
}
