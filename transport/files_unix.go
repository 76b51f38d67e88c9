//go:build unix

package transport

import "golang.org/x/sys/unix"

// openFilesLimit returns how many files the process may have open. Go raises
// the soft limit to the hard one at the start.
func openFilesLimit() (files uint64, ok bool) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true //nolint:unconvert // it is signed on some systems
}
