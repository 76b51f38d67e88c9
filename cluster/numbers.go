package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A confirm asks for the live numbers, which come in pages. States of them stand in
// an order: with each grant last rises, and within one last numbers only end, so that
// n falls. So last and n are enough to say which numbers are known, and whether a
// page is of an earlier state than another.
const (
	numberLen = 16 + 8           // a number and who holds it
	knownLen  = 8 + 4            // last and n
	pageLen   = knownLen + 8 + 4 // before the numbers of a page

	// numbersPerPage bounds the live numbers in one answer: 64 KiB less what stands
	// around them, and what was retired.
	numbersPerPage = (64<<10 - headLen - pageLen - 4 - 8*idspace.RetiredKept) / numberLen

	// maxNumbers bounds the live numbers that a node is told of: 24 MiB.
	maxNumbers = 1 << 20
)

// A page is some of the live numbers, from one upwards.
type page struct {
	last    idspace.NodeNumber
	n       uint32             // live numbers in all
	next    idspace.NodeNumber // where the page after this one begins; zero: this is the last
	live    []liveNumber       // ascending
	retired []idspace.NodeNumber
}

type liveNumber struct {
	boot   idspace.BootID
	number idspace.NodeNumber
}

// pageOf returns the page of v that begins with from, of at most size numbers.
func pageOf(v *view, from idspace.NodeNumber, size int) *page {
	p := &page{last: v.last, n: uint32(len(v.live))}
	for _, number := range slices.Sorted(maps.Keys(v.live)) {
		if number < from {
			continue
		}
		if len(p.live) == size {
			p.next = number
			return p
		}
		p.live = append(p.live, liveNumber{v.live[number], number})
	}
	p.retired = slices.Sorted(maps.Keys(v.retired))
	p.retired = p.retired[max(len(p.retired)-idspace.RetiredKept, 0):]
	return p
}

// append appends the layout of p.
func (p *page) append(out []byte) []byte {
	out = binary.BigEndian.AppendUint64(out, uint64(p.last))
	out = binary.BigEndian.AppendUint32(out, p.n)
	out = binary.BigEndian.AppendUint64(out, uint64(p.next))
	out = binary.BigEndian.AppendUint32(out, uint32(len(p.live)))
	for _, l := range p.live {
		out = append(out, l.boot[:]...)
		out = binary.BigEndian.AppendUint64(out, uint64(l.number))
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(p.retired)))
	for _, n := range p.retired {
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	}
	return out
}

// decodePage returns a page that cannot be wrong in itself: it has as many numbers as
// it says, ascending, below next.
func decodePage(b []byte) (*page, error) {
	p := &page{}
	if len(b) < pageLen+4 {
		return p, errBadRequest
	}
	p.last = idspace.NodeNumber(binary.BigEndian.Uint64(b))
	p.n = binary.BigEndian.Uint32(b[8:])
	p.next = idspace.NodeNumber(binary.BigEndian.Uint64(b[12:]))
	live := int(binary.BigEndian.Uint32(b[20:]))
	b = b[pageLen:]
	if p.n > maxNumbers || live > numbersPerPage || len(b) < numberLen*live+4 {
		return p, errBadRequest
	}
	var before idspace.NodeNumber
	for range live {
		l := liveNumber{idspace.BootID(b[:16]), idspace.NodeNumber(binary.BigEndian.Uint64(b[16:]))}
		if l.number <= before {
			return p, errBadRequest
		}
		p.live, before, b = append(p.live, l), l.number, b[numberLen:]
	}
	if p.next != 0 && (p.next <= before || live == 0) {
		return p, errBadRequest
	}
	retired := int(binary.BigEndian.Uint32(b))
	if b = b[4:]; retired > idspace.RetiredKept || len(b) != 8*retired {
		return p, errBadRequest
	}
	for ; len(b) > 0; b = b[8:] {
		p.retired = append(p.retired, idspace.NodeNumber(binary.BigEndian.Uint64(b)))
	}
	return p, nil
}

// pages make a view of one page after the other. What it has as live was live at the
// first page or later, and what it has not has ended.
type pages struct {
	view  *view              // nil before the first
	first uint32             // n of the first
	mixed bool               // a page was of a later state than the first
	next  idspace.NodeNumber // where the next one begins; zero: there is none
}

// add adds the next page. It refuses one of an earlier state than the first: a number
// that had ended would live again. And it refuses the last page of one state if one of
// its numbers was in none: a number that is missing is taken for ended.
func (ps *pages) add(p *page) error {
	switch {
	case ps.view == nil:
		ps.view, ps.first = newView(p.last), p.n
	case p.last < ps.view.last, p.last == ps.view.last && p.n > ps.first:
		return fmt.Errorf("%w: a page of an earlier state, last %v of %d live, than the first: %v of %d",
			errBadRequest, p.last, p.n, ps.view.last, ps.first)
	case len(p.live) > 0 && p.live[0].number < ps.next:
		return fmt.Errorf("%w: a page from %v on, asked for from %v", errBadRequest, p.live[0].number, ps.next)
	}
	ps.mixed = ps.mixed || p.last != ps.view.last || p.n != ps.first
	for _, l := range p.live {
		if l.number <= ps.view.last { // else it was granted after the first page
			ps.view.live[l.number] = l.boot
		}
	}
	for _, n := range p.retired {
		ps.view.retired[n] = true
	}
	ps.next = p.next // also beyond last: the last page has what was retired
	if live := len(ps.view.live); ps.next == 0 && !ps.mixed && live != int(ps.first) {
		return fmt.Errorf("%w: %d live numbers, and it says %d", errBadRequest, live, ps.first)
	}
	if len(ps.view.live) > maxNumbers {
		return fmt.Errorf("%w: over %d live numbers", errBadRequest, maxNumbers)
	}
	return nil
}

// askNumbers asks for the live numbers and publishes them: by a committed read, or, if
// some are known, by what a voter has applied. It may ask another node for each page.
func (c *Cluster) askNumbers(ctx context.Context, leader idspace.ServerID, known *view) error {
	var body []byte
	if known != nil {
		body = knownRequest(known)
	}
	var all pages
	for {
		same := false
		err := c.askLeader(ctx, leader, mesh.RequestConfirm, body, func(b []byte) error {
			if same = known != nil && all.view == nil && bytes.Equal(b, body); same {
				return nil
			}
			p, err := decodePage(b)
			if err != nil {
				return err
			}
			return all.add(p)
		})
		switch {
		case err != nil || same:
			return err
		case all.next == 0:
			c.publish(all.view)
			return nil
		}
		body = binary.BigEndian.AppendUint64(nil, uint64(all.next))
	}
}

// knownRequest says which numbers are known.
func knownRequest(v *view) []byte {
	out := binary.BigEndian.AppendUint64(make([]byte, 0, knownLen), uint64(v.last))
	return binary.BigEndian.AppendUint32(out, uint32(len(v.live)))
}

// confirm answers with a page of the live numbers. One that was told what it would
// answer leaves them out.
func (r requests) confirm(ctx context.Context, body []byte) ([]byte, error) {
	var from idspace.NodeNumber
	switch len(body) {
	case 0, knownLen:
	case 8:
		from = idspace.NodeNumber(binary.BigEndian.Uint64(body))
	default:
		return nil, errBadRequest
	}
	v, err := r.c.confirmed(ctx, len(body) == 0)
	if err != nil {
		v = newView(0)
	}
	if bytes.Equal(body, knownRequest(v)) {
		return append(answerHead(err), body...), nil
	}
	return pageOf(v, from, int(r.c.pageSize.Load())).append(answerHead(err)), nil
}

// confirmed returns the live numbers as far as a committed read says, or as
// far as they are applied here.
func (c *Cluster) confirmed(ctx context.Context, committed bool) (*view, error) {
	server := c.seat().server
	if st := server.State(); !committed && !st.Leader.IsZero() && st.Last > 0 {
		last, lives := server.Lives()
		return viewOf(last, lives, server.Retired), nil
	}
	last, lives, err := server.Confirm(ctx)
	return viewOf(last, lives, server.Retired), err
}
