package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"flamingo/cluster/port"
)

const (
	// maxAddrs bounds the addresses of one seed, and the lines that a file or a
	// program has; further ones are not used, and the seed's error says so.
	maxAddrs = 256

	// maxSeedText bounds a file of seeds, and what a program prints, in bytes.
	// Nothing of a longer one is used: its end may be half an address.
	maxSeedText = 64 << 10
)

// Resolver looks names up. A *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

// seed is a place to look for members.
type seed struct {
	spec string // as configured
	kind seedKind
	name string // host, SRV name, path, or program with its arguments
	port uint16
}

type seedKind uint8

const (
	hostSeed seedKind = iota // an address, or a name with all its addresses
	srvSeed
	fileSeed
	execSeed
)

func parseSeeds(specs []string) ([]seed, error) {
	var seeds []seed
	var faults []error
	for _, spec := range specs {
		s, err := parseSeed(spec)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		seeds = append(seeds, s)
	}
	return seeds, errors.Join(faults...)
}

// parseSeed reads one spec. The error matches ErrBadSeed.
func parseSeed(spec string) (seed, error) {
	bad := func(want string) (seed, error) {
		return seed{}, fmt.Errorf("%w: %q: want %s", ErrBadSeed, spec[:min(len(spec), 4*quoteLimit)], want)
	}
	if rest, ok := strings.CutPrefix(spec, "file:"); ok {
		if rest == "" {
			return bad("file:PATH")
		}
		return seed{spec: spec, kind: fileSeed, name: rest}, nil
	}
	if rest, ok := strings.CutPrefix(spec, "exec:"); ok {
		if words := strings.Fields(rest); len(words) == 0 || !filepath.IsAbs(words[0]) {
			return bad("exec:PROGRAM ARGUMENT…, with the whole path of the program")
		}
		return seed{spec: spec, kind: execSeed, name: rest}, nil
	}
	if rest, ok := strings.CutPrefix(spec, "srv:"); ok {
		if !validHost(rest) {
			return bad("srv:NAME")
		}
		return seed{spec: spec, kind: srvSeed, name: rest}, nil
	}
	rest := strings.TrimPrefix(spec, "dns:")
	if ip, err := netip.ParseAddr(strings.Trim(rest, "[]")); err == nil {
		return seed{spec: spec, name: ip.String(), port: port.DefaultPort}, nil
	}
	host, number, found := rest, uint64(port.DefaultPort), strings.Contains(rest, ":")
	if found {
		h, p, err := net.SplitHostPort(rest)
		if err != nil {
			return bad("HOST or HOST:PORT, with an IPv6 address in brackets, or dns:, srv:, file:, exec:")
		}
		host = h
		if number, err = strconv.ParseUint(p, 10, 16); err != nil || number == 0 {
			return bad("a port of 1 to 65535")
		}
	}
	if _, err := netip.ParseAddr(host); err != nil && !validHost(host) {
		return bad("a host name or an IP address")
	}
	return seed{spec: spec, name: host, port: uint16(number)}, nil
}

// validHost reports whether s may be the name of a host.
func validHost(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("/:[]@\\\"'", r)
	})
}

// resolve looks s up. Addresses may be returned beside an error.
func (s seed) resolve(ctx context.Context, r Resolver) ([]netip.AddrPort, error) {
	var addrs []netip.AddrPort
	var err error
	switch s.kind {
	case hostSeed:
		addrs, err = resolveHost(ctx, r, s.name, s.port)
	case srvSeed:
		addrs, err = resolveSRV(ctx, r, s.name)
	case fileSeed:
		addrs, err = resolveFile(ctx, r, s.name)
	case execSeed:
		addrs, err = resolveExec(ctx, r, s.name)
	}
	if len(addrs) > maxAddrs {
		err = errors.Join(err, fmt.Errorf("%w: %d addresses, of which %d are used", ErrTooMuch, len(addrs), maxAddrs))
		addrs = addrs[:maxAddrs]
	}
	return addrs, err
}

func resolveHost(ctx context.Context, r Resolver, host string, port uint16) ([]netip.AddrPort, error) {
	ips := make([]netip.Addr, 1)
	var err error
	if ips[0], err = netip.ParseAddr(host); err != nil {
		if ips, err = r.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return addrs, nil
}

func resolveSRV(ctx context.Context, r Resolver, name string) ([]netip.AddrPort, error) {
	_, records, err := r.LookupSRV(ctx, "", "", name)
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	var faults []error
	if len(records) > maxAddrs {
		faults = append(faults, fmt.Errorf("%w: %d records, of which %d are used", ErrTooMuch, len(records), maxAddrs))
		records = records[:maxAddrs]
	}
	for _, rec := range records {
		a, err := resolveHost(ctx, r, rec.Target, rec.Port)
		addrs, faults = append(addrs, a...), append(faults, err)
	}
	return addrs, errors.Join(faults...)
}

// resolveFile reads the file and looks its seeds up.
func resolveFile(ctx context.Context, r Resolver, path string) ([]netip.AddrPort, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSeedText+1))
	if err != nil {
		return nil, err
	}
	return resolveText(ctx, r, string(text))
}

// resolveText looks up the seeds of a text, one a line, of which # begins a
// comment. They are addresses and names: whoever writes the text does not choose
// which file is read or which program is run.
func resolveText(ctx context.Context, r Resolver, text string) ([]netip.AddrPort, error) {
	if len(text) > maxSeedText {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrTooMuch, maxSeedText)
	}
	var addrs []netip.AddrPort
	var faults []error
	n := 0
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if n++; n > maxAddrs {
			faults = append(faults, fmt.Errorf("%w: more than %d lines, further ones are not used", ErrTooMuch, maxAddrs))
			break
		}
		s, err := parseSeed(line)
		if err == nil && (s.kind == fileSeed || s.kind == execSeed) {
			err = fmt.Errorf("%w: %q: a line cannot name a file or a program", ErrBadSeed, line)
		}
		if err == nil {
			var a []netip.AddrPort
			a, err = s.resolve(ctx, r)
			addrs = append(addrs, a...)
		}
		faults = append(faults, err)
	}
	return addrs, errors.Join(faults...)
}
