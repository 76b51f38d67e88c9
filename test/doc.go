// Package test holds the tests that are about the whole of Flamingo and not
// about one of its packages: the order of the layers here, clusters in one
// process, and behind the build tag e2e the real binary beside real parts that
// Go does not bring.
//
// It is not the home of a package's own tests, which lie beside the package,
// and nothing imports it. It may import everything.
package test
