package idspace

// RegistryLimits are the limits of a registry that tests want small.
type RegistryLimits struct{ Grants, Numbers, Ended, Retired int }

// NewLimitedRegistry returns a Registry with limits of its own.
func NewLimitedRegistry(l RegistryLimits) *Registry {
	r := NewRegistry()
	r.maxGrants, r.maxNumbers, r.maxEnded = l.Grants, l.Numbers, l.Ended
	r.maxRetired = l.Retired
	return r
}

// RewindLast breaks the promise that Last only grows.
func RewindLast(r *Registry, by NodeNumber) { r.last -= min(by, r.last) }

// ForgetLife breaks the promise that a repeated grant gives the same number.
func ForgetLife(r *Registry, b BootID) {
	if l := r.lives[b]; l != nil {
		r.end(l, CauseRetired)
		delete(r.ended.causes, b)
		r.ended.order = r.ended.order[:len(r.ended.order)-1]
	}
}

// WantedSerial is the serial whose issue asks for a further number.
const WantedSerial = wantedSerial

// SkipTo makes s the serial issued last under the current number. Nothing else
// may use the sequence meanwhile.
func (s *Sequence) SkipTo(serial Serial) {
	s.last.Store(uint64(composeID(ID(s.last.Load()).Node(), serial)))
}
