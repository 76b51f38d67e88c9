package gossip_test

import (
	"testing"

	"go.uber.org/goleak"
)

// After Shutdown memberlist does not wait for two of its goroutines: the one
// that probes a member waits for the answer to its last probe, which is a
// probe interval, or a few on a slow machine; and what it asks for by stream is
// not waited for either.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode.func3"),
	)
}
