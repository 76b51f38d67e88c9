//go:build !race

package test

// manyPerOwner is how many connections of each owner each other node sends to.
const manyPerOwner = 1000
