package test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port"
	"flamingo/cluster/trust"
	"flamingo/cluster/trust/trusttest"
	"flamingo/node"

	"github.com/vmihailenco/msgpack/v5"
)

// The strangers of this file knock at the port of a node, at its packets and at its
// admin API, with everything a stranger may have. They speak what docs/protocol.md
// says by themselves, so that the page is checked, too; two of them are no
// strangers, and have to be let in.

// strangerPatience bounds every wait; it is reached by tests that fail.
const strangerPatience = time.Minute

const adminToken = "the-token-of-the-admin-API"

// A stranger is what somebody has who knocks.
type stranger struct {
	clear   bool             // it speaks clear text
	key     *trust.Key       // nil: it shows no proof and goes on with the protocol
	cluster string           // the name it thinks the cluster has
	cert    *tls.Certificate // nil: it shows none
	gossip  *trust.Config    // for a whole gossip of its own; nil: there can be none
}

// prove is the proof of the page.
func (s stranger) prove(end string, session []byte) []byte {
	key, err := hkdf.Key(sha256.New, s.key[:], nil, "flamingo proof 1 "+s.cluster, 32)
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(end))
	mac.Write(session)
	return mac.Sum(nil)
}

// speak opens a stream, says first, and returns what it is answered.
func (s stranger) speak(t *testing.T, addr string, proto port.Protocol, first []byte) []byte {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(strangerPatience)); err != nil {
		t.Fatal(err)
	}
	if s.clear {
		return converse(nc, slices.Concat([]byte("\xf7flm\x01"), []byte{byte(proto)}, first))
	}
	c := tls.Client(nc, &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{fmt.Sprintf("flamingo-%v/1", proto)},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if s.cert == nil {
				return &tls.Certificate{}, nil
			}
			return s.cert, nil
		},
	})
	if err := c.Handshake(); err != nil {
		return nil
	}
	if s.key == nil {
		return converse(c, first)
	}
	state := c.ConnectionState()
	session, err := state.ExportKeyingMaterial("EXPERIMENTAL-flamingo-proof-1", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	proof := make([]byte, 32)
	if _, err := c.Write(s.prove("flamingo dialing end", session)); err != nil {
		return nil
	}
	if _, err := io.ReadFull(c, proof); err != nil {
		return nil
	}
	if !hmac.Equal(proof, s.prove("flamingo accepting end", session)) {
		t.Error("the node's own proof is not what the page says")
	}
	return converse(c, first)
}

// converse says first and returns the first bytes of the answer.
func converse(c net.Conn, first []byte) []byte {
	if _, err := c.Write(first); err != nil {
		return nil
	}
	answer := make([]byte, 256)
	n, _ := c.Read(answer)
	return answer[:n]
}

// openings are the first bytes of each protocol, as the page has them, of somebody
// who belongs to no cluster.
func openings(t *testing.T) map[port.Protocol][]byte {
	t.Helper()
	id := bytes.Repeat([]byte{7}, 16)
	zero := make([]byte, 16)
	name := gossip.DefaultClusterName
	hello := slices.Concat([]byte{0}, id, zero, []byte{byte(len(name))}, []byte(name))
	raft := slices.Concat(id, id, id, make([]byte, 7), []byte{1}, id)
	frame := meshHello(t, id)
	return map[port.Protocol][]byte{
		port.Gossip: slices.Concat([]byte{1, byte(len(hello))}, hello),
		port.Raft:   slices.Concat([]byte("FLMR\x01"), binary.BigEndian.AppendUint16(nil, uint16(len(raft))), raft),
		port.Mesh:   slices.Concat([]byte("flmesh/1"), binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame),
	}
}

// helloField is a field of the hello on the page: its form, and what it is.
var helloField = regexp.MustCompile(`(?m)^\| ([uba]) \| ([^|]+) \|`)

// meshHello is a hello of the mesh for a control stream, with the fields that the
// page has, from a node that belongs to no cluster to a boot that is not there: any
// answer says that it was read.
func meshHello(t *testing.T, boot []byte) []byte {
	t.Helper()
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| hello | | welcome | |\n|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	fields := helloField.FindAllStringSubmatch(table, -1)
	if len(fields) < 10 {
		t.Fatalf("the page has %d fields of a hello", len(fields))
	}
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	err = errors.Join(e.EncodeArrayLen(len(fields)+1), e.EncodeUint(16)) // its kind
	for _, field := range fields {
		form, what := field[1], field[2]
		starts := func(words ...string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(what, w) })
		}
		switch {
		case form == "a":
			err = errors.Join(err, e.EncodeArrayLen(0))
		case form == "b" && starts("cluster"):
			err = errors.Join(err, e.EncodeBytes(make([]byte, 16)))
		case form == "b":
			err = errors.Join(err, e.EncodeBytes(boot))
		case starts("least version", "greatest version", "attempt", "seq of", "number of"):
			err = errors.Join(err, e.EncodeUint(1))
		default:
			err = errors.Join(err, e.EncodeUint(0))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestStrangersGetNowhere is every kind of stranger at every place to knock at.
func TestStrangersGetNowhere(t *testing.T) {
	key, otherKey := trusttest.NewKey(t), trusttest.NewKey(t)
	ca, otherCA := trusttest.NewAuthority(t), trusttest.NewAuthority(t)
	keyFile, otherKeyFile := trusttest.KeyFile(t, key), trusttest.KeyFile(t, otherKey)
	const name = gossip.DefaultClusterName
	identity := func(cluster, role string) trust.Identity {
		return trust.Identity{Cluster: cluster, Role: role, Name: "eve"}
	}
	// with is a stranger with the right key and a certificate, and its own gossip as
	// far as it would open with these files.
	with := func(a trusttest.Authority, id trust.Identity, from time.Time) stranger {
		certFile, private := a.Issue(t, id, from, time.Hour)
		pair, err := tls.LoadX509KeyPair(certFile, private)
		if err != nil {
			t.Fatal(err)
		}
		s := stranger{key: &key, cluster: id.Cluster, cert: &pair}
		if id.Role == trust.RoleNode {
			s.gossip = &trust.Config{
				ClusterName: id.Cluster, KeyFile: keyFile, Cert: certFile, Key: private, CA: a.File,
				Now: func() time.Time { return from.Add(time.Minute) },
			}
		}
		return s
	}
	now := time.Now()
	own := with(ca, identity(name, trust.RoleNode), now)
	expired := with(ca, identity(name, trust.RoleNode), now.Add(-3*time.Hour))
	wrongKey := own
	wrongKey.key, wrongKey.gossip = &otherKey, nil
	keyed, certified := node.Opts{ClusterKeyFile: keyFile}, node.Opts{ClusterKeyFile: keyFile, ClusterTLSCA: ca.File}
	certified.ClusterTLSCert, certified.ClusterTLSKey = ca.Issue(t, trust.Identity{Cluster: name, Role: trust.RoleNode, Name: "house"}, now, time.Hour)

	for what, tc := range map[string]struct {
		house node.Opts
		stranger
		reason string // logged once; empty for who is let in
	}{
		"clear text":         {keyed, stranger{clear: true}, "no tls"},
		"no key":             {keyed, stranger{}, "no key"},
		"wrong key":          {keyed, stranger{key: &otherKey, cluster: name, gossip: &trust.Config{ClusterName: name, KeyFile: otherKeyFile}}, "no key"},
		"key, other cluster": {keyed, stranger{key: &key, cluster: "other", gossip: &trust.Config{ClusterName: "other", KeyFile: keyFile}}, "no key"},
		"no certificate":     {certified, stranger{key: &key, cluster: name, gossip: &trust.Config{ClusterName: name, KeyFile: keyFile}}, "no certificate"},
		"wrong CA":           {certified, with(otherCA, identity(name, trust.RoleNode), now), "untrusted certificate"},
		"wrong role":         {certified, with(ca, identity(name, "client"), now), "wrong role"},
		"expired":            {certified, expired, "untrusted certificate"},
		"CA, other cluster":  {certified, with(ca, identity("other", trust.RoleNode), now), "wrong role"},
		"CA, wrong key":      {certified, wrongKey, "no key"},

		"a node with the key":    {keyed, stranger{key: &key, cluster: name, gossip: &trust.Config{ClusterName: name, KeyFile: keyFile}}, ""},
		"a node with key and CA": {certified, own, ""},
		"anybody, without a key": {node.Opts{}, stranger{clear: true}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			knock(t, openHouse(t, tc.house), tc.stranger, tc.reason)
		})
	}
}

// knock knocks everywhere. With a reason nothing may come of it.
func knock(t *testing.T, h *house, s stranger, reason string) {
	before := h.state()
	welcome := reason == ""
	for proto, first := range openings(t) {
		if answer := s.speak(t, h.port, proto, first); (len(answer) > 0) != welcome {
			t.Errorf("%v: answered %q, welcome %t", proto, answer, welcome)
		}
	}
	if s.gossip != nil {
		if got := h.gossipWith(*s.gossip); (got > 1) != welcome {
			t.Errorf("gossip: a member of %d, welcome %t", got, welcome)
		}
	}
	h.whisper()
	for _, token := range []string{"", "guessed"} {
		for method, path := range map[string]string{
			http.MethodGet: "/api/v1/nodes", http.MethodDelete: "/api/v1/connections/" + h.id.String(),
			http.MethodPost: "/api/v1/connections/" + h.id.String() + "/messages",
		} {
			if got := h.ask(method, path, token); got != http.StatusUnauthorized {
				t.Errorf("admin: %s %s with token %q: %d, want 401", method, path, token, got)
			}
		}
	}
	if h.overTLS(s) {
		t.Error("admin: speaks TLS with a stranger")
	}
	if got := h.ask(http.MethodGet, "/api/v1/nodes", adminToken); got != http.StatusOK {
		t.Errorf("admin with the token: %d, want 200", got)
	}
	if n := strings.Count(h.log.String(), "request refused"); n != 1 {
		t.Errorf("admin: logged %d refusals, want one:\n%s", n, h.log)
	}
	if welcome {
		return // it is a member by now, or was for a moment
	}
	if after := h.state(); after != before {
		t.Errorf("state\nbefore %s\nafter  %s", before, after)
	}
	if err := h.SendData(h.id, []byte("well")); err != nil {
		t.Errorf("a send to the client: %v", err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(h.client, got); err != nil || string(got) != "well\n" {
		t.Errorf("the client reads %q, %v", got, err)
	}
	for begin := time.Now(); !strings.Contains(h.log.String(), undecrypted) && time.Since(begin) < strangerPatience; {
		<-time.After(10 * time.Millisecond) // packets are read when it suits the node
	}
	log := h.log.String()
	// Some strangers trust this node no more than it trusts them: that is a reason of its own.
	mutual := strings.Count(log, `reason="refused by peer"`)
	if n := strings.Count(log, "stranger refused"); n != 1+mutual || mutual > 1 || !strings.Contains(log, fmt.Sprintf("reason=%q", reason)) {
		t.Errorf("logged %d strangers, %d of them who refuse, want one for %q:\n%s", n, mutual, reason, log)
	}
	if n := strings.Count(log, undecrypted); n != 1 {
		t.Errorf("logged %d packets, want one:\n%s", n, log)
	}
}

// undecrypted is what a node logs of a packet for which it has no key.
const undecrypted = "Decrypt packet failed"
