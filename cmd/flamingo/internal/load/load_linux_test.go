package load

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// serveLines answers each line of each connection with what reply says, until
// the test ends. An empty answer ends the connection.
func serveLines(t *testing.T, reply func(line string) string) (addr string) {
	t.Helper()
	return serveLinesOn(t, listen(t), reply)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func serveLinesOn(t *testing.T, ln net.Listener, reply func(line string) string) (addr string) {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { ln.Close() })
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					answer := reply(line)
					if _, err := c.Write([]byte(answer)); err != nil || answer == "" {
						return
					}
				}
			})
		}
	})
	return ln.Addr().String()
}

// short is a measurement of which nothing is timed.
var short = Times{Duration: 50 * time.Millisecond}

func same(line string) string { return line }

func changed(line string) string { return strings.Replace(line, "k", "K", 1) }

func TestLoadOfAnEchoHasNoErrors(t *testing.T) {
	addr := serveLines(t, same)
	rated := short
	rated.Rate = 5000
	for name, e := range map[string]Echo{
		"as fast as can be": {Target: Target{Addr: addr}, Times: short, Conns: 3, Outstanding: 5, Size: 64},
		"at a rate":         {Target: Target{Addr: addr}, Times: rated, Conns: 3, Outstanding: 2, Size: 100},
		"long lines":        {Target: Target{Addr: addr}, Times: short, Conns: 2, Outstanding: 2, Size: 300 << 10},
	} {
		r, err := e.Run(t.Context())
		if err != nil || r.Errors != 0 || r.Total == 0 || r.Latency.Max == 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	c := Connect{Target: Target{Addr: addr}, Times: short, Conns: 3, Sources: 4, Size: 64}
	if r, err := c.Run(t.Context()); err != nil || r.Errors != 0 || r.Total == 0 {
		t.Errorf("connect: %+v, %v", r, err)
	}
	steps := 0
	i := Idle{Target: Target{Addr: addr}, Steps: []int{2, 5}, Echo: true, Reached: func(s Step) error {
		steps++
		if s.Conns != []int{2, 5}[steps-1] || s.Kernel == 0 {
			t.Errorf("idle: step %d is %+v", steps, s)
		}
		return nil
	}}
	if err := i.Run(t.Context()); err != nil || steps != 2 {
		t.Errorf("idle: %v after %d steps", err, steps)
	}
}

func TestGreetingIsPassedOver(t *testing.T) {
	var mu sync.Mutex
	first := true
	addr := serveLines(t, func(line string) string {
		mu.Lock()
		defer mu.Unlock()
		if first {
			first = false
			return "hello you\n" + line
		}
		return line
	})
	e := Echo{Target: Target{Addr: addr, Greeting: "hello "}, Times: short, Conns: 1, Outstanding: 1, Size: 64}
	if r, err := e.Run(t.Context()); err != nil || r.Errors != 0 || r.Total == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// What a server may do wrong. Each must be found.
var wrongs = map[string]func(line string) string{
	"changes a letter":    changed,
	"doubles replies":     func(line string) string { return line + line },
	"cuts replies short":  func(line string) string { return line[:len(line)-2] + "\n" },
	"mixes connections":   func(line string) string { return "000009" + line[6:] },
	"speaks out of turn":  func(line string) string { return "hello\n" + line },
	"forgets the line":    func(string) string { return "\n" },
	"answers for another": func(line string) string { return line[:6] + "0777" + line[10:] },
}

func TestServerThatAnswersWrongFailsTheLoad(t *testing.T) {
	for name, reply := range wrongs {
		addr := serveLines(t, reply)
		e := Echo{Target: Target{Addr: addr}, Times: short, Conns: 2, Outstanding: 3, Size: 64}
		if r, err := e.Run(t.Context()); !errors.Is(err, ErrWrongReply) {
			t.Errorf("echo, a server that %s: %+v, %v; want ErrWrongReply", name, r, err)
		}
		if name == "doubles replies" {
			continue // a life ends with the first
		}
		c := Connect{Target: Target{Addr: addr}, Times: short, Conns: 2, Sources: 1, Size: 64}
		if r, err := c.Run(t.Context()); !errors.Is(err, ErrWrongReply) {
			t.Errorf("connect, a server that %s: %+v, %v; want ErrWrongReply", name, r, err)
		}
		if name == "changes a letter" {
			continue // the shortest line has none
		}
		i := Idle{Target: Target{Addr: addr}, Steps: []int{1}, Echo: true}
		if err := i.Run(t.Context()); !errors.Is(err, ErrWrongReply) {
			t.Errorf("idle, a server that %s: %v; want ErrWrongReply", name, err)
		}
	}
}

func TestServerThatEndsConnectionsIsCounted(t *testing.T) {
	addr := serveLines(t, func(string) string { return "" })
	e := Echo{Target: Target{Addr: addr}, Times: short, Conns: 2, Outstanding: 1, Size: 64}
	if r, err := e.Run(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("echo: %+v, %v; want ErrLost", r, err)
	}
	c := Connect{Target: Target{Addr: addr}, Times: short, Conns: 2, Sources: 1, Size: 64}
	if r, err := c.Run(t.Context()); err == nil {
		t.Errorf("connect: %+v and no error", r)
	}
	var mu sync.Mutex
	n := 0
	addr = serveLines(t, func(line string) string {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == 1 {
			return ""
		}
		return line
	})
	r, err := e.withAddr(addr).Run(t.Context())
	if err != nil || r.Errors != 2 { // the connection and the line on it
		t.Errorf("one of two connections ends: %+v, %v; want 2 errors", r, err)
	}
}

func (e Echo) withAddr(addr string) *Echo {
	e.Addr = addr
	return &e
}

func TestLoadEndsWithItsContext(t *testing.T) {
	addr := serveLines(t, same)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	long := Times{Duration: time.Hour}
	e := Echo{Target: Target{Addr: addr}, Times: long, Conns: 1, Outstanding: 1, Size: 64}
	if _, err := e.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("echo: %v", err)
	}
	c := Connect{Target: Target{Addr: addr}, Times: long, Conns: 1, Sources: 1, Size: 64}
	if _, err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("connect: %v", err)
	}
}

func TestBadFieldsAreNamedAllAtOnce(t *testing.T) {
	e := Echo{Times: Times{WarmUp: -1, Rate: -1}, Size: 1, Target: Target{Pid: -1}}
	_, err := e.Run(t.Context())
	for _, field := range []string{"pid", "warm-up", "duration", "rate", "conns", "outstanding", "size"} {
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), field) {
			t.Errorf("%v; want ErrConfig with %s", err, field)
		}
	}
	i := Idle{Steps: []int{5, 5}}
	if err := i.Run(t.Context()); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "steps") {
		t.Errorf("%v; want ErrConfig with steps", err)
	}
}

func TestServerThatIsNotThereIsRefused(t *testing.T) {
	e := Echo{Target: Target{Addr: "127.0.0.1:1"}, Times: short, Conns: 1, Outstanding: 1, Size: 64}
	if _, err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v; want a refusal", err)
	}
}
