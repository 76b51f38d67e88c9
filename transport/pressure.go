package transport

import "flamingo/idspace"

// A connection is full from three quarters of OutputBytes on, and takes messages
// again at half: so far apart that who is told does not hear of it with each write.

// Press reports whether the output of connection id is nearly at its bound, so that
// senders do well to wait. If so, Config.Relieved is called once half of the bound is
// free or the connection is ending, which may be before Press returns.
func (t *Transport) Press(id idspace.ID) bool {
	s, _ := t.table.find(id)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOpenLocked(id, true) {
		return false
	}
	if s.has(flagPressed) {
		return true
	}
	full := int(s.outBytes) >= t.cfg.OutputBytes/4*3
	if full {
		s.flags.Or(flagPressed)
	}
	return full
}

// relieveLocked reports whether Config.Relieved is to be called for the connection,
// once the slot's mu, which the caller holds, is free.
func (t *Transport) relieveLocked(s *slot) bool {
	if !s.has(flagPressed) || int(s.outBytes) > t.cfg.OutputBytes/2 && !s.has(flagClosing|flagEnded) {
		return false
	}
	s.flags.And(^flagPressed)
	return true
}
