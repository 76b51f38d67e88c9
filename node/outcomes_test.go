package node_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/node"
	"flamingo/transport"

	"github.com/google/go-cmp/cmp"
)

func TestEveryOutcomeHasItsNameOnBothSidesOfTheMesh(t *testing.T) {
	for o := mesh.OutcomeAccepted; o.Valid(); o++ {
		here := node.OutcomeOf(o.Err())
		if (here == nil) != (o == mesh.OutcomeAccepted) {
			t.Errorf("%v is %v here", o, here)
		}
		want := o
		if o == mesh.OutcomeNotMine { // another node's mistake about us
			want = mesh.OutcomeUnreachable
		}
		if got := node.CodeOf(here); got != want {
			t.Errorf("%v comes back as %v, want %v", o, got, want)
		}
		if o.Err() != nil && !errors.Is(node.OutcomeOf(fmt.Errorf("wrapped: %w", o.Err())), here) {
			t.Errorf("%v is another outcome when it is wrapped", o)
		}
	}
	unknown := errors.New("unknown")
	if got := node.CodeOf(unknown); got != mesh.OutcomeUncertain {
		t.Errorf("an unknown error goes out as %v, want %v", got, mesh.OutcomeUncertain)
	}
	if got := node.OutcomeOf(unknown); !errors.Is(got, node.ErrUncertain) {
		t.Errorf("an unknown error of the mesh is %v, want %v", got, node.ErrUncertain)
	}
}

func TestDescriptionSurvivesTheWay(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 12, 6, 114, time.UTC)
	for name, want := range map[string]node.ConnInfo{
		"tcp": {
			ID: 0x01adc9000000002a, Listener: "tcp://127.0.0.1:4100",
			Local:  &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1).To4(), Port: 4100},
			Remote: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 51522},
			Opened: at, LastActive: at.Add(time.Minute),
			MessagesIn: 1, BytesIn: 2, MessagesOut: 3, BytesOut: 4, PendingBytes: 5, QueuedIn: 6,
		},
		"TLS": {
			ID: 0x01adc9000000002d, Listener: "tls://127.0.0.1:4100", Opened: at, LastActive: at,
			TLS: &transport.TLSInfo{Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", ServerName: "a.test", Client: &transport.ClientIdentity{
				Subject: "CN=client", Names: []string{"client.test"}, Fingerprint: "00ff",
			}},
		},
		"websocket": {
			ID: 0x01adc9000000002d, Opened: at, LastActive: at,
			WebSocket: &node.WebSocketInfo{Path: "/a%20b", Host: "example.com", Origin: "https://example.com", Subprotocol: "chat"},
		},
		"unix":             {ID: 0x01adc9000000002b, Local: &net.UnixAddr{Net: "unix", Name: "/run/x"}, Remote: &net.UnixAddr{Net: "unix"}, Opened: at, LastActive: at},
		"without a client": {ID: 0x01adc9000000002c, Opened: at, LastActive: at},
	} {
		body, err := node.EncodeConnInfo(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := node.DecodeConnInfo(body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: sent -, received +:\n%s", name, diff)
		}
	}
}

func FuzzDecodeConnInfo(f *testing.F) {
	f.Add([]byte(`{"id":"01adc9000000002a","remote":{"network":"tcp","address":"127.0.0.1:1"}}`))
	f.Add([]byte(`{"remote":{"address":"nowhere"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		info, err := node.DecodeConnInfo(body)
		if err != nil {
			return
		}
		if info.Remote != nil && info.Remote.String() == "" && info.Remote.Network() != "unix" {
			t.Errorf("%q gives the address %v", body, info.Remote)
		}
	})
}
