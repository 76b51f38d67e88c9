//go:build e2e && linux

package chaos

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"flamingo/idspace"
)

// A user is a client that reads what comes and sends a numbered line now and then.
type user struct {
	conn *net.TCPConn
	id   idspace.ID

	mu     sync.Mutex
	record Client // guarded by mu

	silent  chan struct{} // closed by hush
	once    sync.Once
	working sync.WaitGroup
}

const userPace = 100 * time.Millisecond

// dialUser connects and waits for the greeting.
func dialUser(addr string) (*user, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	u := &user{conn: nc.(*net.TCPConn), silent: make(chan struct{})}
	in := bufio.NewReaderSize(nc, 1<<16)
	if err := nc.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	line, err := in.ReadString('\n')
	if err == nil {
		err = u.id.UnmarshalText([]byte(strings.TrimSpace(line)))
	}
	if err == nil {
		err = nc.SetReadDeadline(time.Time{})
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("greeting of %s: %w", addr, err)
	}
	u.record.ID = u.id
	u.working.Go(func() { u.read(in) })
	u.working.Go(u.write)
	return u, nil
}

func (u *user) read(in *bufio.Reader) {
	for {
		line, err := in.ReadBytes('\n')
		at := now()
		u.mu.Lock()
		if err != nil {
			if !u.record.Ended {
				u.record.Ended, u.record.EndedAt = true, at
			}
			u.mu.Unlock()
			u.hush()
			return
		}
		m, err := ParseMessage(line[:len(line)-1])
		if err != nil {
			u.record.Damage = append(u.record.Damage, err.Error())
		} else {
			u.record.Got = append(u.record.Got, Receipt{m, at})
		}
		u.mu.Unlock()
	}
}

func (u *user) write() {
	tick := time.NewTicker(userPace)
	defer tick.Stop()
	for seq := 1; ; seq++ {
		select {
		case <-tick.C:
		case <-u.silent:
			return
		}
		u.mu.Lock()
		u.record.Sent++
		u.mu.Unlock()
		m := Message{To: u.id, Stream: StreamClient, Seq: seq}
		if _, err := u.conn.Write(append(m.Append(nil, 0), '\n')); err != nil {
			return // the reader sees that too
		}
	}
}

// hush has the client send no more.
func (u *user) hush() { u.once.Do(func() { close(u.silent) }) }

// end ends the connection from this side: with a FIN, or a reset.
func (u *user) end(how string) {
	u.hush()
	u.mu.Lock()
	if !u.record.Ended {
		u.record.Ended, u.record.EndedAt = true, now()
	}
	u.record.EndsAs = how
	u.mu.Unlock()
	if how == "reset" {
		_ = u.conn.SetLinger(0) // else it is a FIN
	}
	u.conn.Close()
	u.working.Wait()
}

func (u *user) isEnded() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.record.Ended
}

func (u *user) told() Client {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.record
}
