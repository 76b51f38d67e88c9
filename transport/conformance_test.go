package transport_test

import (
	"testing"

	"flamingo/transport"
	"flamingo/transport/transporttest"
)

// On Linux this is the epoll driver, elsewhere the portable one.
func TestDefaultDriverConforms(t *testing.T) {
	transporttest.Run(t, func(*transport.Config) {})
}

func TestPortableDriverConforms(t *testing.T) {
	transporttest.Run(t, func(c *transport.Config) { c.Portable = true })
}

// webSockets makes WebSocket listeners of those of a test, whose clients speak
// lines.
func webSockets(c *transport.Config) {
	for i := range c.Listeners {
		c.Listeners[i].WebSocket = &transport.WebSocket{Send: transport.KindBinary, MaxMessage: 16 << 20}
	}
}

func TestDefaultDriverConformsOverWebSocket(t *testing.T) {
	transporttest.RunVariant(t, transporttest.Variant{
		Configure:   webSockets,
		Client:      transporttest.WebLines,
		OwnMessages: true,
		Without:     append(transporttest.BareGroups, "Framing"),
	})
}

func TestPortableDriverConformsOverWebSocket(t *testing.T) {
	transporttest.RunVariant(t, transporttest.Variant{
		Configure:   func(c *transport.Config) { webSockets(c); c.Portable = true },
		Client:      transporttest.WebLines,
		OwnMessages: true,
		Without:     append(transporttest.BareGroups, "Framing"),
	})
}
