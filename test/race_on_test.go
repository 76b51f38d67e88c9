//go:build race

package test

// manyPerOwner is how many connections of each owner each other node sends to. The
// race detector makes a node so slow that a machine with other work loses links
// under the full number: what was on its way is then uncertain, as it should.
const manyPerOwner = 200
