package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listenControl returns what is to be set on a listening socket before it is
// bound.
func listenControl(l *Listener) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if ctl := c.Control(func(fd uintptr) {
			if l.ReusePort {
				err = os.NewSyscallError("setsockopt SO_REUSEPORT", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
			}
			if err == nil && l.ReadBuffer > 0 { // before listen, so that the window can be scaled
				err = os.NewSyscallError("setsockopt SO_RCVBUF", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, l.ReadBuffer))
			}
		}); ctl != nil {
			return ctl
		}
		return err
	}
}

// setAccepted sets on a listening socket what the sockets accepted from it
// inherit.
func setAccepted(fd int, l *Listener) error {
	if l.WriteBuffer > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, l.WriteBuffer); err != nil {
			return fmt.Errorf("write-buffer %d: %w", l.WriteBuffer, err)
		}
	}
	if l.Network == "unix" {
		return nil
	}
	if err := setNoDelay(fd, !l.Delay); err != nil {
		return fmt.Errorf("delay: %w", err)
	}
	if err := setKeepAlive(fd, l.KeepAlive); err != nil {
		return fmt.Errorf("keep-alive %v: %w", l.KeepAlive, err)
	}
	if l.UserTimeout > 0 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(l.UserTimeout.Milliseconds())); err != nil {
			return fmt.Errorf("user-timeout %v: %w", l.UserTimeout, err)
		}
	}
	return nil
}

// setBuffers asks for the kernel's buffer sizes of a socket. The kernel takes
// less if it must, and nothing hangs on it.
func setBuffers(fd int, l *Listener) {
	if l.ReadBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, l.ReadBuffer)
	}
	if l.WriteBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, l.WriteBuffer)
	}
}

func setNoDelay(fd int, on bool) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, btoi(on))
}

// setKeepAlive makes a silent connection be probed after d and then every d;
// d <= 0 turns probes off.
func setKeepAlive(fd int, d time.Duration) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, btoi(d > 0)); err != nil || d <= 0 {
		return err
	}
	seconds := int((d + time.Second - 1) / time.Second)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// socketAddrs returns the addresses of both ends; remote is nil when the
// client is no longer there.
func socketAddrs(fd int) (local, remote net.Addr) {
	if sa, err := unix.Getsockname(fd); err == nil {
		local = addrOf(sa)
	}
	if sa, err := unix.Getpeername(fd); err == nil {
		remote = addrOf(sa)
	}
	return local, remote
}

func addrOf(sa unix.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port, Zone: zoneOf(sa.ZoneId)}
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Net: "unix", Name: sa.Name}
	default:
		return nil
	}
}

func zoneOf(index uint32) string {
	if index == 0 {
		return ""
	}
	if ifi, err := net.InterfaceByIndex(int(index)); err == nil {
		return ifi.Name
	}
	return fmt.Sprint(index)
}

func (l *loop) addrs(fd int32) (local, remote net.Addr) { return socketAddrs(int(fd)) }

func (l *loop) setOption(fd int32, o socketOption, value int) error {
	f := int(fd)
	switch o {
	case optionNoDelay:
		return tcpOnly(setNoDelay(f, value != 0))
	case optionKeepAlive:
		return tcpOnly(setKeepAlive(f, time.Duration(value)))
	case optionLinger:
		return unix.SetsockoptLinger(f, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: int32(btoi(value == 0))})
	case optionReadBuffer:
		return unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_RCVBUF, value)
	case optionWriteBuffer:
		return unix.SetsockoptInt(f, unix.SOL_SOCKET, unix.SO_SNDBUF, value)
	default:
		return ErrUnsupported
	}
}

// tcpOnly names the error of a TCP option on another kind of socket.
func tcpOnly(err error) error {
	if errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}
