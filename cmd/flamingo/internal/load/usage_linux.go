package load

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of times in /proc, on every system that Go knows.
const clockTick = time.Second / 100

// processTime returns how long a process has used processors. Zero is this one.
func processTime(pid int) (time.Duration, error) {
	if pid == 0 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return 0, os.NewSyscallError("getrusage", err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; utime and stime are the
	// 12th and 13th after it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// A usage is what the two ends have used of the processors while it was on.
type usage struct {
	server                 int // pid; 0: none
	began                  time.Time
	clientBegan, servBegan time.Duration
	client, serv           float64 // processors kept busy
}

func (u *usage) begin() (err error) {
	u.began = time.Now()
	if u.clientBegan, err = processTime(0); err != nil || u.server == 0 {
		return err
	}
	u.servBegan, err = processTime(u.server)
	return err
}

func (u *usage) end() error {
	lasted := time.Since(u.began).Seconds()
	used, err := processTime(0)
	if err != nil {
		return err
	}
	u.client = (used - u.clientBegan).Seconds() / lasted
	if u.server == 0 {
		return nil
	}
	used, err = processTime(u.server)
	if err != nil {
		return err
	}
	u.serv = (used - u.servBegan).Seconds() / lasted
	return nil
}

// residentBytes returns the anonymous memory of a process: heap and stacks.
func residentBytes(pid int) (int64, error) {
	kib, err := procField(fmt.Sprintf("/proc/%d/status", pid), "RssAnon:", 0)
	return kib << 10, err
}

// kernelBytes returns what all sockets of the machine have of the kernel's
// memory, and whatever else is in its slabs.
func kernelBytes() (int64, error) {
	slab, err := procField("/proc/meminfo", "Slab:", 0)
	if err != nil {
		return 0, err
	}
	// TCP: inuse 5 orphan 0 tw 0 alloc 5 mem 1
	pages, err := procField("/proc/net/sockstat", "TCP:", 9)
	return slab<<10 + pages*int64(os.Getpagesize()), err
}

// procField returns the number at a place of the line that begins with name,
// counted after it.
func procField(file, name string, place int) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > place+1 && fields[0] == name {
			return strconv.ParseInt(fields[place+1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}
