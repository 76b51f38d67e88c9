package trust

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// The parts of an identity in a certificate: flamingo://CLUSTER/ROLE/NAME.
const (
	identityScheme = "flamingo"

	// RoleNode is the role of a node: it may open gossip, raft and mesh.
	RoleNode = "node"
)

// certifiable are the names that a certificate can hold: the cluster's is the
// host of a URI.
var certifiable = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// maxCertifiable bounds such a name, in bytes: as gossip bounds its names.
const maxCertifiable = 64

// CheckName returns an error unless a certificate can hold name, of a cluster or
// a node.
func CheckName(name string) error {
	if len(name) > maxCertifiable || !certifiable.MatchString(name) {
		return fmt.Errorf("%q: want 1 to %d letters, digits, and - or . between them", name, maxCertifiable)
	}
	return nil
}

// An Identity is what a certificate says its holder is, in a URI among its
// subject alternative names.
type Identity struct {
	Cluster string // the cluster's name
	Role    string // RoleNode, or one of a later release
	Name    string // for people
}

// URI returns the identity as a certificate has it.
func (i Identity) URI() *url.URL {
	return &url.URL{Scheme: identityScheme, Host: i.Cluster, Path: "/" + i.Role + "/" + i.Name}
}

// String returns the URI as text.
func (i Identity) String() string { return i.URI().String() }

// identities returns all that a certificate makes its holder.
func identities(cert *x509.Certificate) (all []Identity) {
	for _, u := range cert.URIs {
		if u.Scheme != identityScheme || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			continue
		}
		role, name, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		if ok && CheckName(name) == nil {
			all = append(all, Identity{Cluster: u.Host, Role: role, Name: name})
		}
	}
	return all
}

// nodeOf returns which node of the cluster the holder of cert is. The error
// matches ErrRole.
func nodeOf(cert *x509.Certificate, clusterName string) (Identity, error) {
	all := identities(cert)
	for _, i := range all {
		if i.Cluster == clusterName && i.Role == RoleNode {
			return i, nil
		}
	}
	want := Identity{Cluster: clusterName, Role: RoleNode, Name: "NAME"}
	if len(all) == 0 {
		return Identity{}, fmt.Errorf("%w: it has no identity: want %v", ErrRole, want)
	}
	return Identity{}, fmt.Errorf("%w: %v: want %v", ErrRole, all[0], want)
}
