//go:build linux

package worker

import "time"

// steps say how many messages a goroutine may send next.
type steps struct {
	run  *run
	pace *pace        // nil: as fast as it can
	tick *time.Ticker // else nil
}

func (r *run) steps() (s *steps, err error) {
	s = &steps{run: r}
	if r.load.PerSecond > 0 {
		s.pace, err = newPace(r.load.PerSecond)
	} else {
		s.tick = time.NewTicker(100 * time.Microsecond)
	}
	return s, err
}

// next waits until few enough messages are under way, or until some are due. 0
// says that the run has ended.
func (s *steps) next() (int, error) {
	if s.pace != nil {
		return s.pace.wait()
	}
	r := s.run
	for r.base+r.sent.Load()+stride > r.p.Board.Messages()+underway {
		if r.ended.Load() {
			return 0, nil
		}
		<-s.tick.C
	}
	return stride, nil
}

func (s *steps) close() {
	if s.pace != nil {
		s.pace.close()
	} else {
		s.tick.Stop()
	}
}
