package transport

import (
	"fmt"
	"net"
	"syscall"
	"time"
)

// setAcceptedOptions sets the listener's options on a fresh connection; those
// for probes package net has set. A fault is the client's, who has reset the
// connection: the reader will see that.
func setAcceptedOptions(nc net.Conn, l *Listener) {
	if c, ok := nc.(*net.TCPConn); ok && l.Delay {
		_ = c.SetNoDelay(false)
	}
	if c, ok := nc.(bufferSetter); ok && l.ReadBuffer > 0 {
		_ = c.SetReadBuffer(l.ReadBuffer)
	}
	if c, ok := nc.(bufferSetter); ok && l.WriteBuffer > 0 {
		_ = c.SetWriteBuffer(l.WriteBuffer)
	}
}

// bufferSetter is what *net.TCPConn and *net.UnixConn have.
type bufferSetter interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

// addrs takes a slot's number: that is what slot.fd holds here.
func (d *portable) addrs(fd int32) (local, remote net.Addr) {
	c := d.conns.at(uint32(fd))
	if c == nil {
		return nil, nil
	}
	return c.nc.LocalAddr(), c.nc.RemoteAddr()
}

func (d *portable) setOption(fd int32, o socketOption, value int) error {
	c := d.conns.at(uint32(fd))
	if c == nil {
		return net.ErrClosed
	}
	tcp, isTCP := c.nc.(*net.TCPConn)
	buffers, hasBuffers := c.nc.(bufferSetter)
	switch {
	case o == optionNoDelay && isTCP:
		return tcp.SetNoDelay(value != 0)
	case o == optionKeepAlive && isTCP:
		d := time.Duration(value)
		return tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: d > 0, Idle: d, Interval: d})
	case o == optionLinger && isTCP:
		if value != 0 {
			value = -1 // the system's default
		}
		return tcp.SetLinger(value)
	case o == optionReadBuffer && hasBuffers:
		return buffers.SetReadBuffer(value)
	case o == optionWriteBuffer && hasBuffers:
		return buffers.SetWriteBuffer(value)
	default:
		return ErrUnsupported
	}
}

func (d *portable) control(fd int32, f func(fd int)) error {
	c := d.conns.at(uint32(fd))
	if c == nil {
		return errUnacked
	}
	sc, ok := c.nc.(syscall.Conn)
	if !ok { // in memory
		return ErrNoAck
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAck, err)
	}
	if raw.Control(func(fd uintptr) { f(int(fd)) }) != nil { // closed in this moment
		return errUnacked
	}
	return nil
}
