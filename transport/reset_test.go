package transport_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"flamingo/transport"
)

// pair returns the two ends of a connection over TCP.
func pair(t *testing.T) (server, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return accepted.(*net.TCPConn), nc.(*net.TCPConn)
}

func TestResetThatAWriteWasToldOfIsNoEndOfInput(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a read after a reset fails by itself")
	}
	server, client := pair(t)
	if err := client.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	client.Close()
	for { // until one is told
		if _, err := server.Write(make([]byte, 1<<16)); err != nil {
			break
		}
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Skipf("a read after a reset fails by itself: %v", err)
	}
	if !transport.WasReset(server) {
		t.Error("the reset passes for an end of input")
	}
}

func TestEndOfInputIsNoReset(t *testing.T) {
	server, client := pair(t)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if transport.WasReset(server) {
		t.Error("an end of input passes for a reset")
	}
}
