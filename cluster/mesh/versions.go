package mesh

import "fmt"

// Versions are the versions of the protocol between nodes that an end speaks, the
// least and the greatest.
type Versions struct{ Min, Max uint64 }

// Spoken returns those that this release speaks.
func Spoken() Versions { return Versions{MinVersion, MaxVersion} }

// Meet reports whether both have a version in common.
func (v Versions) Meet(other Versions) bool { return v.Min <= other.Max && other.Min <= v.Max }

// String returns them as people write them: "1", or "1 to 3".
func (v Versions) String() string {
	if v.Min == v.Max {
		return fmt.Sprint(v.Min)
	}
	return fmt.Sprintf("%d to %d", v.Min, v.Max)
}
