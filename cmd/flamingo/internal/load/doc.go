// Package load puts load on servers that send lines back, and checks every
// reply.
//
// It measures any such server and is cheap itself: one thread, epoll, no
// goroutine for a connection. It prints nothing and knows no command line
// (cmd/flamingo), and it starts no server. Echo and Connect speak clear text;
// Idle opens its connections through TLS and WebSocket too.
//
// # Nouns
//
//	Echo     connections that stay, each with some lines under way
//	Connect  lives: connect, have one line echoed, close
//	Idle     connections that are opened in steps and held
//
// A line has the number of its connection and an index that is under way on it
// once at a time. So a reply that is lost, doubled, changed, or that belongs to
// another connection is found, while replies may come in any order: a server
// that hands messages to several goroutines keeps none.
//
//	connection  index  filler      end
//	000017      0003   abcdefgh    \n
//
// # Concurrency
//
// A Run blocks until it is done, and does everything on the calling goroutine;
// Idle opens connections from a few of its own, which end before it returns.
// It works on Linux alone; elsewhere it returns errors.ErrUnsupported.
package load
