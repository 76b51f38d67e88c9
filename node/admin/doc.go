// Package admin shows a node over HTTP: health for load balancers, and an API
// to look at connections, send to them and end them. docs/http.md is its page
// for users.
//
// It is an http.Handler that an embedding program mounts at the root of a host,
// as its problems name their help by path, and serves with Server or with a
// server of its own:
//
//	h, err := admin.New(admin.Config{})
//	...
//	h.Attach(n)
//	err = admin.Server(h).Serve(ln) // ln on 127.0.0.1:4180
//
// # What it is not
//
// It opens no socket and starts no goroutine; it reads no flags and no files.
// What a send or a close means, and its outcomes, are the business of package
// node. It is for operators and backends, never for clients: an id is an
// address, not a right, and who may send here may send to everybody.
//
// # Nouns
//
//   - Handler answers the requests. It can do so before its node exists: a node
//     that waits for its number is alive and not ready.
//   - A Problem is a kind of failure: one table joins the outcomes of package
//     node to status, type and exit code.
//   - The guard decides who is answered at all.
//   - A family is a metric with the means to read it from the node: one table of them
//     is /metrics, /api/v1/stats and the page docs/metrics.md.
//
// # Who is answered
//
//	resource             without a token                   with a token
//	/livez, /readyz      everybody                         everybody
//	/problems/...,
//	/openapi.yaml        loopback, by an allowed Host      everybody
//	all else             loopback, by an allowed Host      who bears a token for it
//
// Methods that change something are refused to pages of other origins. The
// Host is checked against DNS rebinding: a page of evil.example whose name
// comes to mean 127.0.0.1 reaches the node from loopback, and its browser says
// Host: evil.example.
//
// All methods are safe for concurrent use.
package admin
