package idspace

import (
	"encoding/binary"
	"fmt"
)

// A snapshot; integers are big-endian, lists begin with their length:
//
//	version last:8 lives:4 { boot:16 server:16 start:8 numbers:4 { number:8 } } ended:4 { boot:16 cause:1 }
//	retired:4 { number:8 }
//
// Lives stand in the order of their first numbers, ends and what is retired from
// old to new.
// Restore accepts no other order, so equal states have equal bytes.
const (
	snapshotVersion = 1

	lifeLen  = 16 + 16 + 8 + 4 // without its numbers
	endedLen = 16 + 1
)

// Snapshot returns the whole state. Equal states give equal bytes.
func (r *Registry) Snapshot() []byte {
	size := 1 + 8 + 4 + len(r.lives)*lifeLen + len(r.holders)*8 + 4 + len(r.ended.order)*endedLen + 4 + len(r.retired)*8
	b := append(make([]byte, 0, size), snapshotVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(r.last))
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.lives)))
	for _, l := range r.sortedLives() {
		b = append(b, l.Boot[:]...)
		b = append(b, l.Server[:]...)
		b = binary.BigEndian.AppendUint64(b, l.Start)
		b = binary.BigEndian.AppendUint32(b, uint32(len(l.Numbers)))
		for _, n := range l.Numbers {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.ended.order)))
	for _, boot := range r.ended.order {
		b = append(b, boot[:]...)
		b = append(b, byte(r.ended.causes[boot]))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.retired)))
	for _, n := range r.retired {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// Restore replaces the state by that of a snapshot; it keeps nothing of b.
// The error matches [ErrUnknownVersion] or [ErrBadSnapshot], and the state is
// then unchanged.
func (r *Registry) Restore(b []byte) error {
	fresh := NewRegistry()
	fresh.maxGrants, fresh.maxNumbers, fresh.maxEnded = r.maxGrants, r.maxNumbers, r.maxEnded
	fresh.maxRetired = r.maxRetired
	if err := fresh.load(b); err != nil {
		return fmt.Errorf("idspace: restore: %w", err)
	}
	*r = *fresh
	return nil
}

// load needs an empty registry.
func (r *Registry) load(b []byte) error {
	in := reader{b: b}
	if v := in.byte(); !in.short && v != snapshotVersion {
		return fmt.Errorf("%w: %d, want %d", ErrUnknownVersion, v, snapshotVersion)
	}
	r.last = NodeNumber(in.uint64())
	if r.last > MaxNumber {
		return fmt.Errorf("%w: last number %d", ErrBadSnapshot, r.last)
	}
	if err := r.loadLives(&in); err != nil {
		return err
	}
	if err := r.loadEnded(&in); err != nil {
		return err
	}
	if err := r.loadRetired(&in); err != nil {
		return err
	}
	if in.short || len(in.b) > 0 {
		return fmt.Errorf("%w: cut short or %d bytes over", ErrBadSnapshot, len(in.b))
	}
	return nil
}

func (r *Registry) loadLives(in *reader) error {
	lives, ok := in.count(lifeLen + 8)
	if !ok || lives > r.maxGrants {
		return fmt.Errorf("%w: number of lives", ErrBadSnapshot)
	}
	var first NodeNumber
	for range lives {
		l, err := r.loadLife(in)
		if err != nil {
			return err
		}
		if l.Numbers[0] <= first {
			return fmt.Errorf("%w: lives out of order at %v", ErrBadSnapshot, l.Boot)
		}
		first = l.Numbers[0]
	}
	return nil
}

// loadLife reads and enters one life. What it accepts is what grant can have
// made.
func (r *Registry) loadLife(in *reader) (*Life, error) {
	l := &Life{Boot: in.uuid(), Server: in.uuid(), Start: in.uint64()}
	n, ok := in.count(8)
	if !ok || n == 0 || n > r.maxNumbers || len(r.holders)+n > r.maxGrants {
		return nil, fmt.Errorf("%w: number of grants of %v", ErrBadSnapshot, l.Boot)
	}
	if l.Boot.IsZero() || l.Server.IsZero() != (l.Start == 0) ||
		r.lives[l.Boot] != nil || r.onServer(l.Server) != nil {
		return nil, fmt.Errorf("%w: life %v on %v", ErrBadSnapshot, l.Boot, l.Server)
	}
	l.Numbers = make([]NodeNumber, 0, n)
	var newest NodeNumber
	for range n {
		number := NodeNumber(in.uint64())
		_, held := r.holders[number]
		if number <= newest || number > r.last || held {
			return nil, fmt.Errorf("%w: number %v of %v", ErrBadSnapshot, number, l.Boot)
		}
		newest = number
		l.Numbers = append(l.Numbers, number)
		r.add(l)
	}
	return l, nil
}

func (r *Registry) loadEnded(in *reader) error {
	ended, ok := in.count(endedLen)
	if !ok || ended > r.maxEnded {
		return fmt.Errorf("%w: number of ended lives", ErrBadSnapshot)
	}
	for range ended {
		boot, cause := BootID(in.uuid()), EndCause(in.byte())
		_, known := r.ended.cause(boot)
		if boot.IsZero() || !cause.valid() || known || r.lives[boot] != nil {
			return fmt.Errorf("%w: ended life %v", ErrBadSnapshot, boot)
		}
		r.ended.add(boot, cause, r.maxEnded)
	}
	return nil
}

func (r *Registry) loadRetired(in *reader) error {
	n, ok := in.count(8)
	if !ok || n > r.maxRetired {
		return fmt.Errorf("%w: how many numbers are retired", ErrBadSnapshot)
	}
	known := make(map[NodeNumber]bool)
	for range n {
		number := NodeNumber(in.uint64())
		_, held := r.holders[number]
		if !number.Valid() || number > r.last || held || known[number] {
			return fmt.Errorf("%w: retired number %v", ErrBadSnapshot, number)
		}
		known[number] = true
		r.retired = append(r.retired, number)
	}
	return nil
}
