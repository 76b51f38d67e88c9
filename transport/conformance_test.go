package transport_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

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

// Over every layer and with every limit of a connection one driver is enough: what
// they have to do with each other is not the driver's.
func TestDefaultDriverConformsOverEveryLayer(t *testing.T) {
	secure := transporttest.TLSVariant(t, func(c *transport.Config) {
		for i := range c.Listeners {
			l := &c.Listeners[i]
			l.Proxy, l.ProxyFrom = transport.ProxyRequired, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			l.MaxConnsPerAddress, l.WriteTimeout, l.MaxLifetime = 1000, time.Hour, time.Hour
			if l.MessagesPerSecond == 0 && l.BytesPerSecond == 0 {
				l.MessagesPerSecond, l.BytesPerSecond = 3000, 50<<20 // so that some clients wait
			}
		}
	})
	every := transporttest.WebSocketVariant(secure.Configure)
	web := every.Client
	every.Client = func(nc net.Conn) (net.Conn, error) {
		if _, err := io.WriteString(nc, "PROXY UNKNOWN\r\n"); err != nil {
			return nil, err
		}
		encrypted, err := secure.Client(nc)
		if err != nil {
			return nil, err
		}
		return web(encrypted)
	}
	transporttest.RunVariant(t, every)
}

func TestDefaultDriverConformsOverTLS(t *testing.T) {
	transporttest.RunVariant(t, transporttest.TLSVariant(t, func(*transport.Config) {}))
}

func TestPortableDriverConformsOverTLS(t *testing.T) {
	transporttest.RunVariant(t, transporttest.TLSVariant(t, func(c *transport.Config) { c.Portable = true }))
}
