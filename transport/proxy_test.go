package transport_test

import (
	"bufio"
	"bytes"
	"testing"

	"flamingo/transport"

	"github.com/pires/go-proxyproto"
)

// FuzzProxyHeader compares the length that is found of a header with what the
// parser of the header reads, and with what is found while it arrives.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\nhello"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc6\x33\x64\x01\x9c\x40\x01\xbbhello"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		size, err := transport.ProxyHeaderSize(data)
		if size < 0 || size > len(data) || size > 0 && err != nil {
			t.Fatalf("size %d of %d bytes, %v", size, len(data), err)
		}
		if size > 0 && !transport.LooksProxied(data) {
			t.Fatal("a header that does not look like one")
		}
		for k := range size {
			if early, err := transport.ProxyHeaderSize(data[:k]); early != 0 || err != nil {
				t.Fatalf("after %d of %d bytes: %d, %v", k, size, early, err)
			}
		}
		r := bytes.NewReader(data)
		b := bufio.NewReader(r)
		if _, parseErr := proxyproto.Read(b); parseErr == nil && err == nil {
			if used := len(data) - r.Len() - b.Buffered(); used != size {
				t.Fatalf("found %d bytes, the parser took %d", size, used)
			}
		}
	})
}
