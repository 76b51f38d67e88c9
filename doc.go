// Package flamingo holds many long-lived client connections and lets a program
// work with them pipeline-style, by id. An echo server:
//
//	n := flamingo.New(flamingo.Opts{
//		Listen: []string{"tcp://:4100?framing=line"},
//		Ignore: flamingo.IgnoreOpens | flamingo.IgnoreCloses,
//	})
//	for id, msg := range n.Messages() { // what the clients of this node say
//		n.SendData(id, msg) // to any client of any node
//	}
//
// An id is 64 bits that name one connection forever; SendData and SendClose
// take any id at any time and say what becomes of it.
//
// Nodes with Opts.Join or Opts.Expect form a cluster, in which each node sends
// to the connections of all; see the examples of a cluster.
//
// Package node holds the contract of every method; package framing the ways to
// cut a stream into messages; package idspace the layout and the encodings of
// ids.
package flamingo
