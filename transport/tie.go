package transport

import "flamingo/idspace"

// Tie has Config.Ended called when connection id ends, once, however often it is
// called. ErrGone says that the connection has ended or is ending: Ended may have
// been called by then, or is about to be if Tie was called before.
func (t *Transport) Tie(id idspace.ID) error {
	s, _ := t.table.find(id)
	if s == nil {
		return t.missing(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOpenLocked(id, true) {
		return t.missing(id)
	}
	if !s.has(flagTied) {
		s.flags.Or(flagTied)
	}
	return nil
}
