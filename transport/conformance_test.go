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
