package gossip

import (
	"fmt"
	"log/slog"

	"flamingo/idspace"
)

// ClusterID names a cluster, from its bootstrap on. The zero value means none:
// the node is blank.
type ClusterID [16]byte

// ParseClusterID reads the text form, a UUID in lower case. The error matches
// [ErrBadUUID], also for the zero UUID.
func ParseClusterID(s string) (ClusterID, error) {
	u, err := idspace.ParseServerID(s)
	if err != nil {
		return ClusterID{}, fmt.Errorf("gossip: cluster id: %w: %q", ErrBadUUID, s[:min(len(s), quoteLimit)])
	}
	return ClusterID(u), nil
}

// quoteLimit is how many bytes of foreign text an error repeats.
const quoteLimit = 64

// IsZero reports whether c is the zero value.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// String returns the text form.
func (c ClusterID) String() string { return idspace.ServerID(c).String() }

// LogValue implements [slog.LogValuer] with the text form, also of zero.
func (c ClusterID) LogValue() slog.Value { return slog.StringValue(c.String()) }

// meets reports whether members of c and o may be in one cluster.
func (c ClusterID) meets(o ClusterID) bool { return c == o || c.IsZero() || o.IsZero() }
