package transporttest

import (
	"net"
	"slices"
	"testing"

	"flamingo/transport"
)

// A Variant is a way to run the suite: a driver, and what its clients speak.
type Variant struct {
	// Configure is applied last to the configuration of every test.
	Configure func(*transport.Config)

	// Client makes of a fresh socket the connection that a client uses, whose
	// bytes are those of the framing: it does what a client does before it is
	// served. Nil means the socket itself. What it returns needs CloseWrite.
	Client func(net.Conn) (net.Conn, error)

	// OwnMessages says that the listeners of Configure have messages of their
	// own and do not use the framing. Claims about it are left out.
	OwnMessages bool

	// Without names groups that are left out.
	Without []string
}

// Run checks that the driver which configure chooses conforms. configure is
// applied last to the configuration of every test.
func Run(t *testing.T, configure func(*transport.Config)) {
	RunVariant(t, Variant{Configure: configure})
}

// BareGroups are the groups about sockets, with which clients that speak first
// have nothing to do.
var BareGroups = []string{"Accepting", "Listeners", "Limits", "Proxied", "WebSocket"}

// RunVariant checks that the variant conforms.
func RunVariant(t *testing.T, v Variant) {
	s := suite{v}
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Messages", messageTests},
		{"Framing", framingTests},
		{"Closing", closingTests},
		{"Draining", drainingTests},
		{"HalfClose", halfCloseTests},
		{"Sending", sendingTests},
		{"Sharing", sharingTests},
		{"Tying", tyingTests},
		{"SlowClient", slowTests},
		{"Activity", activityTests},
		{"SlowApplication", pressureTests},
		{"Accepting", acceptingTests},
		{"Listeners", listenerTests},
		{"Limits", limitTests},
		{"Rates", rateTests},
		{"Proxied", proxiedTests},
		{"WebSocket", webSocketTests},
		{"Conn", connTests},
		{"Inspection", inspectionTests},
		{"Ending", endingTests},
	} {
		if slices.Contains(v.Without, group.name) {
			continue
		}
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

// needsFraming skips a test of a claim that is about the listener's framing.
func (s suite) needsFraming(t *testing.T) {
	t.Helper()
	if s.OwnMessages {
		t.Skip("the listener does not use its framing")
	}
}
