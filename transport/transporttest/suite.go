package transporttest

import (
	"testing"

	"flamingo/transport"
)

// Run checks that the driver which configure chooses conforms. configure is
// applied last to the configuration of every test.
func Run(t *testing.T, configure func(*transport.Config)) {
	s := suite{configure}
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Messages", messageTests},
		{"Framing", framingTests},
		{"Closing", closingTests},
		{"HalfClose", halfCloseTests},
		{"Sending", sendingTests},
		{"SlowClient", slowTests},
		{"Activity", activityTests},
		{"SlowApplication", pressureTests},
		{"Accepting", acceptingTests},
		{"Listeners", listenerTests},
		{"Proxied", proxiedTests},
		{"WebSocket", webSocketTests},
		{"Conn", connTests},
		{"Inspection", inspectionTests},
		{"Ending", endingTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.tests {
				t.Run(c.claim, func(t *testing.T) { c.check(t, s) })
			}
		})
	}
}

// A test checks one claim.
type test struct {
	claim string
	check func(t *testing.T, s suite)
}
