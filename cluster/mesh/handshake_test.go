package mesh_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// greet sends first bytes to n over a pipe and returns the pipe.
func greet(n *node, first []byte) net.Conn {
	a, b := net.Pipe()
	n.Serve(b)
	_, _ = a.Write(first)
	return a
}

// answer reads a welcome.
func answer(t *testing.T, c net.Conn) (mesh.Refusal, error) {
	t.Helper()
	head := make([]byte, len(mesh.Magic)+4)
	if _, err := io.ReadFull(c, head); err != nil {
		return 0, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[len(mesh.Magic):]))
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, err
	}
	return mesh.RefusalOf(body)
}

func TestHandshakeRefusals(t *testing.T) {
	other, blank := idspace.ClusterID{9}, idspace.ClusterID{}
	me, peer := bootOf(1), bootOf(7)
	v1 := [2]uint64{1, 1}
	for name, tc := range map[string]struct {
		first []byte
		want  mesh.Refusal
	}{
		"a lane":            {mesh.HelloFor(theCluster, peer, me, v1, 1, 0, 0, 1), mesh.RefusalNone},
		"control":           {mesh.HelloFor(theCluster, peer, me, v1, 0, 0, 0, 1), mesh.RefusalNone},
		"wider versions":    {mesh.HelloFor(theCluster, peer, me, [2]uint64{0, 9}, 1, 0, 0, 1), mesh.RefusalNone},
		"later version":     {mesh.HelloFor(theCluster, peer, me, [2]uint64{2, 9}, 1, 0, 0, 1), mesh.RefusalVersion},
		"earlier version":   {mesh.HelloFor(theCluster, peer, me, [2]uint64{0, 0}, 1, 0, 0, 1), mesh.RefusalVersion},
		"another cluster":   {mesh.HelloFor(other, peer, me, v1, 1, 0, 0, 1), mesh.RefusalCluster},
		"another, control":  {mesh.HelloFor(other, peer, me, v1, 0, 0, 0, 1), mesh.RefusalCluster},
		"a blank's lane":    {mesh.HelloFor(blank, peer, me, v1, 1, 0, 0, 1), mesh.RefusalBlank},
		"a blank's control": {mesh.HelloFor(blank, peer, me, v1, 0, 0, 0, 1), mesh.RefusalNone},
		"another is meant":  {mesh.HelloFor(theCluster, peer, bootOf(8), v1, 1, 0, 0, 1), mesh.RefusalNotMe},
		"itself":            {mesh.HelloFor(theCluster, me, me, v1, 1, 0, 0, 1), mesh.RefusalSelf},
		"resume":            {mesh.HelloFor(theCluster, peer, me, v1, 1, 0, 1, 1), mesh.RefusalUnknownSession},
		"kind 2":            {mesh.HelloFor(theCluster, peer, me, v1, 2, 0, 0, 1), mesh.RefusalLane},
		"lane 16":           {mesh.HelloFor(theCluster, peer, me, v1, 1, 16, 0, 1), mesh.RefusalLane},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				r.run()
				c := greet(r.node(1), tc.first)
				defer c.Close()
				if got, err := answer(t, c); err != nil || got != tc.want {
					t.Errorf("answer %v, %v, want %v", got, err, tc.want)
				}
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.EOF) != (tc.want != mesh.RefusalNone) && tc.want != mesh.RefusalNone {
					t.Errorf("after a refusal: %v, want the stream closed", err)
				}
			})
		})
	}
}

// TestBootsAreCompared has a dial end at another node than was meant. With the
// comparison switched off the message reaches the stranger.
func TestBootsAreCompared(t *testing.T) {
	for _, trusting := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 2)
			r.run()
			a, b := r.node(1), r.node(2)
			if trusting {
				a.Trust()
				b.Trust()
			}
			meant := bootOf(9)
			r.nodes[meant] = b // node 2 has taken over the address
			if err := a.To(meant).SendData(idOf(2, 1), mesh.KindDefault, []byte("x")); err != nil {
				t.Fatal(err)
			}
			flush(t, a)
			synctest.Wait()
			if got := len(b.messages(idOf(2, 1))); (got == 1) != trusting {
				t.Errorf("trusting %t: the stranger got %d messages", trusting, got)
			}
			if !trusting && a.losses()[idOf(2, 1)][mesh.OutcomeUnreachable] != 1 {
				t.Errorf("losses %v, want one unreachable", a.losses())
			}
			delete(r.nodes, meant)
		})
	}
}

func TestStrangersGetNoAnswer(t *testing.T) {
	hello := mesh.HelloFor(theCluster, bootOf(7), bootOf(1), [2]uint64{1, 1}, 1, 0, 0, 1)
	for name, first := range map[string]string{
		"http":           "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"zeros":          string(make([]byte, 64)),
		"length 4 G":     mesh.Magic + "\xff\xff\xff\xff",
		"over the limit": mesh.Magic + string(binary.BigEndian.AppendUint32(nil, mesh.MaxHello+1)),
		"length 0":       mesh.Magic + "\x00\x00\x00\x00",
		"other frame":    mesh.Magic + "\x00\x00\x00\x03\x92\x08\x01",
		"zero boot":      string(mesh.HelloFor(theCluster, idspace.BootID{}, bootOf(1), [2]uint64{1, 1}, 1, 0, 0, 1)),
		"trailing byte":  mesh.Magic + "\x00\x00\x00\x55" + string(hello[len(mesh.Magic)+4:]) + "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				r.run()
				c := greet(r.node(1), []byte(first))
				defer c.Close()
				if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
					t.Errorf("answered %x, %v, want a closed stream", b, err)
				}
				synctest.Wait()
				if s := r.node(1).Stats(); s.Inbound != 0 || s.HandshakesOpen != 0 {
					t.Errorf("left behind: %+v", s)
				}
			})
		})
	}
}

func TestSlowHandshakeEndsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.run()
		begun := time.Now()
		hello := mesh.HelloFor(theCluster, bootOf(7), bootOf(1), [2]uint64{1, 1}, 1, 0, 0, 1)
		c := greet(r.node(1), hello[:1])
		defer c.Close()
		for i := 1; i < len(hello); i++ { // a byte a second
			<-time.After(time.Second)
			if _, err := c.Write(hello[i : i+1]); err != nil {
				break
			}
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("the stream ended after %v, want 5s and one byte", took)
		}
		synctest.Wait()
		if got := r.node(1).Stats().Ends[mesh.ReasonHandshake]; got != 1 {
			t.Errorf("ends %v, want one for its handshake", r.node(1).Stats().Ends)
		}
	})
}

func TestInboundStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.config = func(c *mesh.Config) { c.MaxInbound = 3 }
		r.run()
		for range 3 {
			defer greet(r.node(1), []byte("f")).Close()
		}
		c := greet(r.node(1), nil)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the fourth stream: %v, want it closed", err)
		}
		if got := r.node(1).Stats().Ends[mesh.ReasonFull]; got != 1 {
			t.Errorf("%d counted as full, want 1", got)
		}
	})
}

func TestLaterAttemptTakesTheStreamOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.run()
		dial := func(attempt uint64) (net.Conn, mesh.Refusal) {
			c := greet(r.node(1), mesh.HelloFor(theCluster, bootOf(7), bootOf(1), [2]uint64{1, 1}, 1, 0, 0, attempt))
			refusal, err := answer(t, c)
			if err != nil {
				t.Fatal(err)
			}
			return c, refusal
		}
		first, _ := dial(5)
		defer first.Close()
		second, refusal := dial(6)
		defer second.Close()
		if _, err := first.Read(make([]byte, 1)); refusal != mesh.RefusalNone || !errors.Is(err, io.EOF) {
			t.Errorf("second answered %v, first ended with %v", refusal, err)
		}
		third, refusal := dial(5)
		third.Close()
		if refusal != mesh.RefusalStale {
			t.Errorf("a late attempt is answered %v, want stale", refusal)
		}
	})
}

// TestFaultEndsTheStreamAlone sends what has no place on a lane.
func TestFaultEndsTheStreamAlone(t *testing.T) {
	id := uint64(idOf(1, 1))
	garbage := append(binary.BigEndian.AppendUint32(nil, 2), 0xdd, 0xff)
	for name, tc := range map[string]struct {
		bytes []byte
		want  mesh.Reason
	}{
		"wrong number":     {encoded(mesh.Wire{Kind: 1, Ints: [7]uint64{2, id}}), mesh.ReasonSequence},
		"not an id":        {encoded(mesh.Wire{Kind: 1, Ints: [7]uint64{1, 5}}), mesh.ReasonMalformed},
		"a ping":           {encoded(mesh.Wire{Kind: 11}), mesh.ReasonUnexpected},
		"an ack":           {encoded(mesh.Wire{Kind: 9, Ints: [7]uint64{1}}), mesh.ReasonUnexpected},
		"outcome-ack":      {encoded(mesh.Wire{Kind: 8, Ints: [7]uint64{1}}), mesh.ReasonAck},
		"too long":         {binary.BigEndian.AppendUint32(nil, mesh.MaxFrame+1), mesh.ReasonTooLong},
		"empty":            {binary.BigEndian.AppendUint32(nil, 0), mesh.ReasonMalformed},
		"garbage":          {garbage, mesh.ReasonMalformed},
		"a hello":          {mesh.HelloFor(theCluster, bootOf(7), bootOf(1), [2]uint64{1, 1}, 1, 0, 0, 1)[len(mesh.Magic):], mesh.ReasonUnexpected},
		"code over 16 bit": {closeOf(1<<16, ""), mesh.ReasonMalformed},
		"long reason":      {closeOf(4001, strings.Repeat("x", 124)), mesh.ReasonMalformed},
		"close in parts":   {encoded(mesh.Wire{Kind: 6, Ints: [7]uint64{1, 1, 1}, Payload: encoded(mesh.Wire{Kind: 4, Ints: [7]uint64{0, id}})[4:]}), mesh.ReasonUnexpected},
		"parts in parts":   {encoded(mesh.Wire{Kind: 6, Ints: [7]uint64{1, 1, 1}, Payload: encoded(mesh.Wire{Kind: 6})[4:]}), mesh.ReasonUnexpected},
		"garbage in parts": {encoded(mesh.Wire{Kind: 6, Ints: [7]uint64{1, 1, 1}, Payload: []byte("x")}), mesh.ReasonMalformed},
		"five in parts":    {fiveInParts(), mesh.ReasonParts},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2)
				r.run()
				a := r.node(1)
				c := greet(a, mesh.HelloFor(theCluster, bootOf(7), bootOf(1), [2]uint64{1, 1}, 1, 0, 0, 1))
				defer c.Close()
				if _, err := answer(t, c); err != nil {
					t.Fatal(err)
				}
				_, _ = c.Write(tc.bytes)
				if _, err := io.ReadAll(c); err != nil {
					t.Errorf("reading on: %v", err)
				}
				synctest.Wait()
				if got := a.Stats().Ends; got[tc.want] != 1 {
					t.Errorf("ends %v, want one %v", got, tc.want)
				}
				if err := r.node(2).To(a.boot).SendData(idOf(1, 1), mesh.KindDefault, []byte("well")); err != nil {
					t.Error(err)
				}
				flush(t, r.node(2))
				if got := a.messages(idOf(1, 1)); len(got) != 1 {
					t.Errorf("another peer's messages: %q, want one", got)
				}
			})
		})
	}
}

func fiveInParts() (b []byte) {
	for i := uint64(1); i <= 5; i++ {
		b = append(b, encoded(mesh.Wire{Kind: 6, Ints: [7]uint64{i, i, 0}, Payload: []byte("x")})...)
	}
	return b
}

func TestRefusedErrorNamesBothClusters(t *testing.T) {
	err := error(&mesh.RefusedError{Refusal: mesh.RefusalCluster, Mine: theCluster, Theirs: idspace.ClusterID{2}})
	if !errors.Is(err, mesh.ErrRefused) {
		t.Errorf("%v does not match ErrRefused", err)
	}
}

func TestRefusedErrorNamesBothRangesOfVersions(t *testing.T) {
	err := error(&mesh.RefusedError{
		Refusal: mesh.RefusalVersion, Speaks: mesh.Versions{Min: 2, Max: 4}, PeerSpeaks: mesh.Versions{Min: 1, Max: 1},
	})
	if text := err.Error(); !strings.Contains(text, "here 2 to 4") || !strings.Contains(text, "there 1)") {
		t.Errorf("%s, want both ranges", text)
	}
}
