package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// readSysctl returns a number that the kernel is set to.
func readSysctl(name string) (value int64, ok bool) {
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return 0, false
	}
	value, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return value, err == nil
}

// staUnsync is the flag of adjtimex(2) for a clock that nothing keeps set.
const staUnsync = 0x40

// clockSynced reports whether something keeps the clock set, as the kernel sees it.
func clockSynced() (synced, ok bool) {
	var state syscall.Timex // all zero: it is read and not changed
	if _, err := syscall.Adjtimex(&state); err != nil {
		return false, false
	}
	return state.Status&staUnsync == 0, true
}
