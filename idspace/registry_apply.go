package idspace

import (
	"fmt"
	"slices"
)

// grant checks everything before it changes anything.
func (r *Registry) grant(g Grant) (Result, error) {
	if err := g.check(); err != nil {
		return Result{}, err
	}
	if cause, ok := r.ended.cause(g.Boot); ok {
		return Result{}, fmt.Errorf("%w: %v (%v)", ErrLifeEnded, g.Boot, cause)
	}
	life, earlier := r.lives[g.Boot], (*Life)(nil)
	if life == nil {
		life = &Life{Boot: g.Boot, Server: g.Server, Start: g.Start}
		earlier = r.onServer(g.Server)
	}
	if n, ok, err := life.granted(g); ok || err != nil {
		return Result{Boot: g.Boot, Ordinal: g.Ordinal, Number: n, Repeated: true}, err
	}
	if earlier != nil && earlier.Start >= g.Start {
		return Result{}, fmt.Errorf("%w: start %d of %v, live is %d",
			ErrStaleStart, g.Start, g.Server, earlier.Start)
	}
	if err := r.checkRoom(life, earlier); err != nil {
		return Result{}, err
	}
	number, err := NumberAfter(r.last, g.Tick)
	if err != nil {
		return Result{}, err
	}

	res := Result{Boot: g.Boot, Ordinal: g.Ordinal, Number: number}
	if earlier != nil {
		res.Ended, res.Cause = r.end(earlier, CauseNewBoot), CauseNewBoot
	}
	r.last = number
	life.Numbers = append(life.Numbers, number)
	r.add(life)
	return res, nil
}

// granted returns the number of a repeated request. It reports false without
// an error when the request is for the next number.
func (l *Life) granted(g Grant) (n NodeNumber, ok bool, err error) {
	have := uint64(len(l.Numbers))
	switch ord := uint64(g.Ordinal); {
	case l.Server != g.Server || l.Start != g.Start:
		return 0, false, fmt.Errorf("%w: %v", ErrServerChanged, g.Boot)
	case ord <= have:
		return l.Numbers[ord-1], true, nil
	case ord > have+1:
		return 0, false, fmt.Errorf("%w: %d, want at most %d", ErrOrdinalGap, ord, have+1)
	}
	return 0, false, nil
}

// checkRoom reports whether a number can be added to life once earlier, which
// may be nil, has ended.
func (r *Registry) checkRoom(life, earlier *Life) error {
	if len(life.Numbers) >= r.maxNumbers {
		return fmt.Errorf("%w: %d", ErrTooManyNumbers, r.maxNumbers)
	}
	live := len(r.holders)
	if earlier != nil {
		live -= len(earlier.Numbers)
	}
	if live >= r.maxGrants {
		return fmt.Errorf("%w: %d", ErrTooManyGrants, r.maxGrants)
	}
	return nil
}

// endLife remembers an unknown life, too: its first grant may still be on its
// way, behind this command.
func (r *Registry) endLife(e EndLife) (Result, error) {
	if err := e.check(); err != nil {
		return Result{}, err
	}
	res := Result{Boot: e.Boot}
	if _, ok := r.ended.cause(e.Boot); ok {
		res.Repeated = true
		return res, nil
	}
	if life := r.lives[e.Boot]; life != nil {
		res.Ended, res.Cause = r.end(life, e.Cause), e.Cause
		return res, nil
	}
	r.ended.add(e.Boot, e.Cause, r.maxEnded)
	return res, nil
}

// onServer returns the live life on a data directory, or nil.
func (r *Registry) onServer(s ServerID) *Life {
	boot, ok := r.servers[s]
	if !ok {
		return nil
	}
	return r.lives[boot]
}

// add enters a life, or the newest number of one that is entered.
func (r *Registry) add(l *Life) {
	r.lives[l.Boot] = l
	r.holders[l.Numbers[len(l.Numbers)-1]] = l.Boot
	if !l.Server.IsZero() {
		r.servers[l.Server] = l.Boot
	}
}

// end prunes every entry of a live life and remembers its end.
func (r *Registry) end(l *Life, cause EndCause) Life {
	delete(r.lives, l.Boot)
	for _, n := range l.Numbers {
		delete(r.holders, n)
	}
	if !l.Server.IsZero() {
		delete(r.servers, l.Server)
	}
	r.ended.add(l.Boot, cause, r.maxEnded)
	if cause == CauseRetired {
		r.retired = append(r.retired, l.Numbers...)
		r.retired = slices.Clone(r.retired[max(len(r.retired)-r.maxRetired, 0):])
	}
	return *l
}

// endedLives remembers the newest ends of lives, oldest first. The zero value
// is empty.
type endedLives struct {
	order  []BootID
	causes map[BootID]EndCause // of every life in order
}

func (e *endedLives) cause(b BootID) (c EndCause, ok bool) {
	c, ok = e.causes[b]
	return c, ok
}

// add drops the oldest end when there are limit of them. b is not among them.
func (e *endedLives) add(b BootID, c EndCause, limit int) {
	if e.causes == nil {
		e.causes = make(map[BootID]EndCause)
	}
	if len(e.order) >= limit {
		delete(e.causes, e.order[0])
		e.order = append(e.order[:0], e.order[1:]...)
	}
	e.order = append(e.order, b)
	e.causes[b] = c
}
