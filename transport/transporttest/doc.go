// Package transporttest holds the conformance suite of package transport: what
// every driver must do, seen from outside, over real sockets.
//
// It is not a set of benchmarks, and it knows no driver's inside. [Run] takes
// what turns the configuration of each test into one of the driver under test.
// A [Variant] also says what clients speak below the framing, such as TLS.
//
// A test waits for events, not for time. Where an outcome needs a while, such
// as an idle timeout, the test checks that it does not come early. Every wait
// gives up after patience, so that a lost event fails its test alone.
package transporttest
