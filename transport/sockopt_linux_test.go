package transport_test

import (
	"testing"
	"time"

	"flamingo/transport"
)

// Go listens with Multipath TCP unless it is told not to.
func TestListenerTakesAUserTimeout(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			tr, _ := serve(t, func(c *transport.Config) {
				driver.configure(c)
				c.Listeners[0].UserTimeout = time.Second
			})
			connect(t, tr)
			if _, ok := tr.RecvOpen(); !ok {
				t.Error("no connection")
			}
		})
	}
}
