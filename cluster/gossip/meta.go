package gossip

import (
	"errors"
	"fmt"
	"net/netip"
	"unicode"
	"unicode/utf8"

	"flamingo/idspace"
)

// MaxNameLen is the longest node name, in bytes.
const MaxNameLen = 64

// MaxReleaseLen is the longest name of a release, in bytes.
const MaxReleaseLen = 64

// Role is the part of a node in consensus. The values are part of Meta's
// format: append only.
type Role uint8

// The roles. A role of a later release reads as RoleOutside.
const (
	RoleOutside  Role = iota // not in raft: asks the leader over the mesh
	RoleNonvoter             // in raft, without a vote
	RoleVoter
)

// String returns the role in words.
func (r Role) String() string {
	switch r {
	case RoleOutside:
		return "outside"
	case RoleNonvoter:
		return "nonvoter"
	case RoleVoter:
		return "voter"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// State is what a member says of its own readiness. The values are part of
// Meta's format: append only.
type State uint8

// The states. A node goes from one to a later one and never back. A state of
// a later release reads as StateJoining.
const (
	StateJoining  State = iota // has no number yet, accepts no client
	StateReady                 // accepts clients
	StateDraining              // accepts no more clients and is about to leave
)

// String returns the state in words.
func (s State) String() string {
	switch s {
	case StateJoining:
		return "joining"
	case StateReady:
		return "ready"
	case StateDraining:
		return "draining"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Meta is what a member announces about itself.
type Meta struct {
	// Name is for people: 1 to MaxNameLen bytes of printable UTF-8.
	Name string

	// Number is the newest node number of this life; zero before the first.
	Number idspace.NodeNumber

	// Numbers is the version of the list of its numbers, which grows with
	// each change; the list itself travels over the mesh.
	Numbers uint64

	// Cluster is the id of its cluster; zero for a blank node.
	Cluster idspace.ClusterID

	// Server names its data directory; zero for none.
	Server idspace.ServerID
	Role   Role

	// Address is where other nodes reach it, TCP and UDP. Gossip fills it in.
	Address netip.AddrPort

	// Admin is where its admin API listens; zero for none.
	Admin netip.AddrPort

	State State

	// MinVersion and MaxVersion are the versions of the protocol between
	// nodes that it speaks: 1 ≤ MinVersion ≤ MaxVersion.
	MinVersion, MaxVersion uint16

	// Release names the software that it runs, for people: up to MaxReleaseLen bytes
	// of printable UTF-8.
	Release string
}

// check returns an error matching ErrBadMeta that holds every fault.
func (m Meta) check() error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrBadMeta}, args...)...))
	}
	if !validName(m.Name) {
		bad("Name %q: want 1 to %d bytes of printable UTF-8", m.Name[:min(len(m.Name), quoteLimit)], MaxNameLen)
	}
	if m.Number > idspace.MaxNumber {
		bad("Number %v: want at most %v", m.Number, idspace.MaxNumber)
	}
	if m.Role > RoleVoter {
		bad("Role %v: want outside, nonvoter or voter", m.Role)
	}
	if m.State > StateDraining {
		bad("State %v: want joining, ready or draining", m.State)
	}
	if !dialable(m.Address) {
		bad("Address %v: want an IP address without zone, and a port", m.Address)
	}
	if m.Admin != (netip.AddrPort{}) && !dialable(m.Admin) {
		bad("Admin %v: want none, or an IP address without zone, and a port", m.Admin)
	}
	if m.MinVersion < 1 || m.MinVersion > m.MaxVersion {
		bad("MinVersion %d, MaxVersion %d: want 1 ≤ MinVersion ≤ MaxVersion", m.MinVersion, m.MaxVersion)
	}
	if len(m.Release) > MaxReleaseLen || !printable(m.Release) {
		bad("Release %q: want up to %d bytes of printable UTF-8", m.Release[:min(len(m.Release), quoteLimit)], MaxReleaseLen)
	}
	return errors.Join(faults...)
}

func validName(s string) bool { return len(s) >= 1 && len(s) <= MaxNameLen && printable(s) }

func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// dialable reports whether a can be dialed from elsewhere as it is written.
func dialable(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() && ip.Zone() == "" && !ip.Is4In6() && a.Port() != 0
}

// sameLife returns an error matching ErrClusterChanged if a node must not
// announce next after m.
func (m Meta) sameLife(next Meta) error {
	if !m.Cluster.IsZero() && next.Cluster != m.Cluster {
		return fmt.Errorf("%w: from %v to %v", ErrClusterChanged, m.Cluster, next.Cluster)
	}
	return nil
}

// quoteLimit is how many bytes of foreign text an error repeats.
const quoteLimit = 64

// mayMeet reports whether members of clusters a and b may be in one cluster:
// one of them may be blank.
func mayMeet(a, b idspace.ClusterID) bool { return a == b || a.IsZero() || b.IsZero() }
