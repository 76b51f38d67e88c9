// Package flamingo holds many long-lived client connections and lets a program
// work with them pipeline-style, by id. An echo server:
//
//	n, err := flamingo.Open(flamingo.Opts{Port: 4100, BufferTillDelim: true, Delim: '\n', Ignore: flamingo.IgnoreOpens | flamingo.IgnoreCloses})
//	if err != nil {
//		log.Fatal(err)
//	}
//	for id, msg := range n.Messages() {
//		n.SendData(id, msg)
//	}
//
// An id is 64 bits that name one connection forever; SendData and SendClose
// take any id at any time and say what becomes of it.
//
// Nodes with Opts.Join or Opts.Expect form a cluster, in which each node sends
// to the connections of all; see the second example.
//
// Package node holds the contract of every method; package framing the ways to
// cut a stream into messages; package idspace the layout and the encodings of
// ids.
package flamingo
