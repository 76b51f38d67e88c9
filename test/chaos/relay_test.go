//go:build e2e && linux

package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A weather is what a relay does to packets.
type weather struct {
	delay, jitter         time.Duration
	lost, twice, overtake float64 // shares of the packets
}

var rough = weather{delay: 3 * time.Millisecond, jitter: 3 * time.Millisecond, lost: 0.02, twice: 0.02, overtake: 0.02}

// A relay carries IP packets between two networks through devices of its own, and
// treats them like the weather. Packets of one direction keep their order but for
// those that overtake.
type relay struct {
	weather weather
	ends    [2]*os.File
	running sync.WaitGroup

	carried, lost, doubled, overtook atomic.Int64
}

// newRelay lays a relay between two networks, and leads what one host sends the
// other that way.
func newRelay(w weather, seed uint64, a, b *network, hostA, hostB int) (*relay, error) {
	r := &relay{weather: w}
	var errs []error
	for i, n := range []*network{a, b} {
		f, err := n.device()
		r.ends[i] = f
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, r.close())
	}
	for i := range r.ends {
		r.running.Go(func() { r.carry(rand.New(rand.NewPCG(seed, uint64(i))), r.ends[i], r.ends[1-i]) })
	}
	_, err1 := a.command("ip", "route", "add", address(hostB)+"/32", "dev", deviceName, "src", address(hostA))
	_, err2 := b.command("ip", "route", "add", address(hostA)+"/32", "dev", deviceName, "src", address(hostB))
	if err := errors.Join(err1, err2); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

const deviceName = "relay0"

// device makes a device in the network. It goes, and the routes over it, when the
// file is closed.
func (n *network) device() (f *os.File, err error) {
	n.do(func() {
		var fd int
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			err = fmt.Errorf("/dev/net/tun: %w", err)
			return
		}
		var req *unix.Ifreq
		if req, err = unix.NewIfreq(deviceName); err == nil {
			req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
		if err != nil {
			unix.Close(fd)
			return
		}
		f = os.NewFile(uintptr(fd), deviceName)
		if _, err = command("ip", "link", "set", deviceName, "up"); err == nil {
			err = os.WriteFile("/proc/sys/net/ipv4/conf/"+deviceName+"/rp_filter", []byte("0"), 0o600)
		}
	})
	return f, err
}

// close ends the relay; both networks are as before.
func (r *relay) close() error {
	var errs []error
	for _, f := range r.ends {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	r.running.Wait()
	return errors.Join(errs...)
}

func (r *relay) proof() string {
	return fmt.Sprintf("%d packets carried, %d lost, %d doubled, %d overtook", r.carried.Load(), r.lost.Load(), r.doubled.Load(), r.overtook.Load())
}

func (r *relay) effective() bool {
	return r.carried.Load() > 0 && r.lost.Load() > 0 && r.doubled.Load() > 0 && r.overtook.Load() > 0
}

// A packet is on its way until due.
type packet struct {
	bytes []byte
	due   time.Time
}

// inFlight bounds the packets of one direction that wait; further ones are lost.
const inFlight = 4096

func (r *relay) carry(dice *rand.Rand, from, to *os.File) {
	line := make(chan packet, inFlight)
	var out sync.WaitGroup
	out.Go(func() {
		for p := range line {
			<-time.After(time.Until(p.due))
			if _, err := to.Write(p.bytes); err == nil {
				r.carried.Add(1)
			}
		}
	})
	defer out.Wait()
	defer close(line)
	buf := make([]byte, 1<<16)
	var held *packet // is overtaken by the next one
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p := packet{append([]byte(nil), buf[:n]...), time.Now().Add(r.weather.delay + time.Duration(dice.Int64N(int64(r.weather.jitter))))}
		chance := dice.Float64()
		copies := 1
		switch w := r.weather; {
		case chance < w.lost:
			r.lost.Add(1)
			copies = 0
		case chance < w.lost+w.twice:
			r.doubled.Add(1)
			copies = 2
		case chance < w.lost+w.twice+w.overtake && held == nil:
			held = &p
			continue
		}
		for range copies {
			r.put(line, p)
		}
		if held != nil && copies > 0 {
			r.put(line, *held)
			r.overtook.Add(1)
			held = nil
		}
	}
}

func (r *relay) put(line chan<- packet, p packet) {
	select {
	case line <- p:
	default:
		r.lost.Add(1)
	}
}
