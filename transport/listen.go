package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// A boundListener is a Listener whose socket is open.
type boundListener struct {
	Listener
	index  int // among the transport's listeners
	driver int // who accepts
	addr   net.Addr
	conns  atomic.Int32
	paused atomic.Bool // accepting stands still until there is room

	web          *webServer    // nil without WebSocket
	certificates *certificates // nil without TLS

	addresses addressBook
	rate      bucket // of AcceptRate; owned by who accepts
	slowed    bool   // the log says that it came to that; the same
}

// String names it by the address that clients connect to, with the port that the
// system chose.
func (b *boundListener) String() string { return b.Scheme() + "://" + b.addr.String() }

// full reports whether the listener has as many connections as it may have.
func (b *boundListener) full() bool { return b.MaxConns > 0 && int(b.conns.Load()) >= b.MaxConns }

// removeSocketFile removes what a Unix listener left in the file system.
func (b *boundListener) removeSocketFile() {
	if b.Network == "unix" {
		_ = os.Remove(b.Address)
	}
}

// Listen opens the listening sockets: from then on clients can connect, and
// wait in the kernel's queue until Run. On an error, which names the listener,
// nothing is open.
func (t *Transport) Listen(ctx context.Context) error {
	if t.sockets {
		t.tellScarceFiles()
	}
	var open []net.Listener
	for i := range t.cfg.Listeners {
		certificates, err := t.openCertificates(&t.cfg.Listeners[i])
		var ln net.Listener
		if err == nil {
			ln, err = t.cfg.Listen(ctx, t.cfg.Listeners[i])
		}
		if err != nil {
			for _, ln := range open {
				ln.Close()
			}
			return fmt.Errorf("transport: listener %s: %w", &t.cfg.Listeners[i], err)
		}
		open = append(open, ln)
		b := &boundListener{Listener: t.cfg.Listeners[i], index: i, addr: ln.Addr(), certificates: certificates}
		b.rate.fill(time.Since(t.start))
		if certificates != nil {
			certificates.listener = b.String()
		}
		if b.WebSocket != nil {
			b.web = newWebServer(b.WebSocket)
		}
		t.bound = append(t.bound, b)
	}
	if err := t.drive(open); err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	return nil
}

// Addrs returns the addresses of the listeners, in the order of Config, with
// the ports that the system chose. Empty before Listen.
func (t *Transport) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, b := range t.bound {
		addrs = append(addrs, b.addr)
	}
	return addrs
}

// bind opens a socket of the operating system.
func bind(ctx context.Context, l Listener) (net.Listener, error) {
	if l.Network == "unix" {
		if err := removeStaleSocket(ctx, l.Address); err != nil {
			return nil, err
		}
	}
	keepAlive := net.KeepAliveConfig{Enable: l.KeepAlive > 0, Idle: l.KeepAlive, Interval: l.KeepAlive}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive, Control: listenControl(&l)}
	if l.KeepAlive < 0 {
		lc.KeepAlive = -1
	}
	lc.SetMultipathTCP(false) // whose sockets know no TCP_USER_TIMEOUT
	ln, err := lc.Listen(ctx, l.Network, l.Address)
	if err != nil {
		return nil, err
	}
	if err := prepareListener(ln, &l); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// removeStaleSocket removes a socket file that nobody listens on any more.
func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%w: %s exists and is not a socket", ErrBadOption, path)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("%s: another process listens on it", path)
	}
	// A live listener may refuse for want of a permission or of room in its queue.
	if !errors.Is(err, syscall.ECONNREFUSED) && runtime.GOOS != "windows" {
		return fmt.Errorf("%s: whether another process listens on it is unknown: %w", path, err)
	}
	return os.Remove(path)
}
