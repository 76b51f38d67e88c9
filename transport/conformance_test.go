package transport_test

import (
	"net"
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

func TestDefaultDriverConformsOverWebSocket(t *testing.T) {
	transporttest.RunVariant(t, transporttest.WebSocketVariant(func(*transport.Config) {}))
}

func TestPortableDriverConformsOverWebSocket(t *testing.T) {
	transporttest.RunVariant(t, transporttest.WebSocketVariant(func(c *transport.Config) { c.Portable = true }))
}

// Over both layers one driver is enough: what they have to do with each other is
// not the driver's.
func TestDefaultDriverConformsOverWebSocketOverTLS(t *testing.T) {
	secure := transporttest.TLSVariant(t, func(*transport.Config) {})
	both := transporttest.WebSocketVariant(secure.Configure)
	web := both.Client
	both.Client = func(nc net.Conn) (net.Conn, error) {
		encrypted, err := secure.Client(nc)
		if err != nil {
			return nil, err
		}
		return web(encrypted)
	}
	transporttest.RunVariant(t, both)
}

func TestDefaultDriverConformsOverTLS(t *testing.T) {
	transporttest.RunVariant(t, transporttest.TLSVariant(t, func(*transport.Config) {}))
}

func TestPortableDriverConformsOverTLS(t *testing.T) {
	transporttest.RunVariant(t, transporttest.TLSVariant(t, func(c *transport.Config) { c.Portable = true }))
}
