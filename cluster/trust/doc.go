// Package trust tells nodes of a cluster from strangers: the key that all nodes
// share, the certificates that tell them apart, and what two ends of a stream
// show each other before anything else is said.
//
// What it is not: it opens no sockets (cluster/port) and knows neither boots nor
// cluster ids, which the handshakes of the protocols compare (cluster/mesh,
// cluster/consensus, cluster/gossip).
//
// # Nouns
//
//   - [Key] is the secret of a cluster, 32 bytes. A key file holds some: the
//     first is used, all are accepted.
//   - [Trust] is what a node shows and accepts. It follows its files, and closes the
//     streams that a change speaks against.
//   - An [Identity] is what a certificate says its holder is.
//
// # From the key
//
//	gossip   HKDF-SHA-256(key, info "flamingo gossip 1 " + cluster name)   encrypts packets
//	proof    HKDF-SHA-256(key, info "flamingo proof 1 " + cluster name)    shown on streams
//
// # A stream
//
//	dialing end                          accepting end
//	TLS 1.3, ALPN says the protocol ───► certificate: its own making, or the CA's
//	                                ◄─── with a CA: asks for one, checks its role
//	proof of the key, 32 bytes      ───► compared with all keys
//	compared with all keys          ◄─── proof of the same key, 32 bytes
//	the protocol                    ◄──► the protocol
//
// A proof is HMAC-SHA-256 under the key for proofs of the name of the end that
// shows it and 32 bytes that TLS exports from the session. So it is good for
// this session and direction alone: who stands between two nodes has two sessions
// and can pass on neither proof.
//
// # Concurrency
//
// Every method may be called from any goroutine. New reads files and starts
// nothing; Run looks at the files once a second.
package trust
