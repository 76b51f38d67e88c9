package trust

import "errors"

// Conditions of setting up.
var (
	// ErrBadConfig: New refuses the Config. The text names each option that is
	// at fault, its value, and what is allowed.
	ErrBadConfig = errors.New("bad config")

	// ErrBadKeyFile: a key file cannot be used. Usually others may read it, or
	// it is not what flamingo keygen has written.
	ErrBadKeyFile = errors.New("bad key file")

	// ErrBadCertificate: the files of a certificate cannot be used. Usually the
	// certificate is another cluster's, or of another CA.
	ErrBadCertificate = errors.New("bad certificate")
)

// Conditions of a stream. Each is the reason for which one end refuses the
// other; the other learns no more than that the stream is closed.
var (
	// ErrNoTLS: no TLS 1.3 handshake. Usually a port scan, or a node without a
	// key.
	ErrNoTLS = errors.New("no TLS handshake of a node")

	// ErrNoProtocol: none of the cluster's protocols was asked for. Usually a
	// client that was given the address of the nodes.
	ErrNoProtocol = errors.New("none of the cluster's protocols")

	// ErrNoCertificate: the other end shows none, and there is a CA. Usually a
	// node without --cluster-tls-cert.
	ErrNoCertificate = errors.New("no certificate")

	// ErrUntrusted: the certificate is not of the CA, or not valid now. Usually
	// it has expired, or another CA has made it.
	ErrUntrusted = errors.New("certificate is not trusted")

	// ErrRole: the certificate makes its holder no node of this cluster. Usually
	// it is another cluster's, or a client's.
	ErrRole = errors.New("certificate of no node of this cluster")

	// ErrProof: the other end does not know a key of this cluster. Usually it
	// has another key, or another cluster name.
	ErrProof = errors.New("no key of this cluster")

	// ErrRefusedByPeer: the other end has broken the handshake off. Why, its log
	// says.
	ErrRefusedByPeer = errors.New("refused by the other end, whose log says why")
)
