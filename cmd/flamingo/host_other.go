//go:build !linux

package main

// readSysctl knows of no kernel but that of Linux.
func readSysctl(string) (value int64, ok bool) { return 0, false }

// clockSynced is not known elsewhere.
func clockSynced() (synced, ok bool) { return false, false }
