package mesh_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
)

// readAcks reads the acknowledgements that an outbox writes, and when, until from ends.
func readAcks(t *testing.T, from net.Conn) (acks []uint64, at []time.Duration) {
	start := time.Now()
	for {
		head := make([]byte, 4)
		if _, err := io.ReadFull(from, head); err != nil {
			return acks, at
		}
		body := make([]byte, head[3])
		if _, err := io.ReadFull(from, body); err != nil {
			t.Error(err)
		}
		f, err := mesh.NewWireDecoder().Decode(body)
		if err != nil || f.Kind != 9 {
			t.Errorf("%x: %+v, %v; want an ack", body, f, err)
		}
		acks, at = append(acks, f.Ints[0]), append(at, time.Since(start))
	}
}

func TestAcknowledgementsWaitForEachOtherButNotLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		box := mesh.NewAckBox(near)
		done := make(chan struct{})
		var acks []uint64
		var at []time.Duration
		go func() {
			defer close(done)
			acks, at = readAcks(t, far)
		}()
		box.SetAck(1)
		synctest.Wait()
		box.SetAck(2)
		<-time.After(10 * time.Millisecond) // 2 is out after one
		for seq := uint64(3); seq <= 18; seq++ {
			box.SetAck(seq) // 18 is the sixteenth
		}
		synctest.Wait()
		box.SetAck(19)
		<-time.After(10 * time.Millisecond)
		box.Stop()
		near.Close()
		<-done
		wantAcks := []uint64{2, 18, 19}
		wantAt := []time.Duration{time.Millisecond, 10 * time.Millisecond, 11 * time.Millisecond}
		if len(acks) != len(wantAcks) {
			t.Fatalf("acknowledged %v at %v, want %v at %v", acks, at, wantAcks, wantAt)
		}
		for i := range wantAcks {
			if acks[i] != wantAcks[i] || at[i] != wantAt[i] {
				t.Errorf("acknowledged %v at %v, want %v at %v", acks, at, wantAcks, wantAt)
			}
		}
	})
}

// A peer that withholds the acknowledgement of one outcome has everything behind it
// kept: up to the bound, and then the session ends.
func TestAcknowledgementsBehindAnOutcomeAreBounded(t *testing.T) {
	const many = 2 << 20
	for withheld, most := range map[bool]int{true: many - 1, false: many} {
		near, far := net.Pipe()
		box := mesh.NewIdleBox(near)
		if withheld {
			box.Withhold()
		}
		if acks := box.AckAll(many); acks > most {
			t.Errorf("withheld %t: %d acknowledgements are kept without an end", withheld, acks)
		}
		if held := box.Held(); held > 3*mesh.OutboxLimit/2 {
			t.Errorf("withheld %t: %d bytes are kept", withheld, held)
		}
		box.Stop()
		near.Close()
		far.Close()
	}
}
