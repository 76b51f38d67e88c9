package transporttest

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
)

var messageTests = []test{
	{"an open comes before the first message", openComesFirst},
	{"messages of many clients arrive in order and unmodified", messagesInOrder},
	{"messages to many clients arrive in order and unmodified", answersInOrder},
	{"a message is its receiver's alone", messageIsOwned},
	{"a large message arrives whole", largeMessage},
	{"an empty message is a message", emptyMessage},
}

func openComesFirst(t *testing.T, s suite) {
	r := s.start(t)
	const clients = 100
	var dialing sync.WaitGroup
	for k := range clients {
		dialing.Go(func() { r.dial().send(line("client %d", k)) })
	}
	open := make(map[idspace.ID]bool)
	for range clients {
		m := r.message()
		for c, ok := r.TryRecvOpen(); ok; c, ok = r.TryRecvOpen() {
			open[c.ID()] = true
		}
		if !open[m.ID] {
			t.Errorf("message %q of %v came before its open", m.Data, m.ID)
		}
	}
	dialing.Wait()
	if len(open) != clients {
		t.Errorf("%d opens; want %d", len(open), clients)
	}
}

// described returns a message that says who sent it, its place and its sum.
func described(k, m int) string {
	body := fmt.Sprintf("client %d message %d %s", k, m, strings.Repeat("x", (k*131+m*17)%3000))
	return fmt.Sprintf("%s %08x", body, crc32.ChecksumIEEE([]byte(body)))
}

func messagesInOrder(t *testing.T, s suite) {
	const clients, messages = 40, 200
	r := s.start(t, func(c *transport.Config) { c.Ignore = transport.IgnoreOpens })
	var sending sync.WaitGroup
	for k := range clients {
		c := r.dial()
		sending.Go(func() {
			var burst strings.Builder
			for m := range messages {
				burst.WriteString(described(k, m) + "\n")
				if m%(k+1) == 0 {
					c.send(burst.String())
					burst.Reset()
				}
			}
			c.send(burst.String())
		})
	}
	sender := make(map[idspace.ID]int)
	next := make(map[idspace.ID]int)
	for range clients * messages {
		msg := r.message()
		if _, ok := sender[msg.ID]; !ok {
			k := -1
			if _, err := fmt.Sscanf(string(msg.Data), "client %d", &k); err != nil {
				t.Fatalf("message %.80q", msg.Data)
			}
			sender[msg.ID] = k
		}
		if want := described(sender[msg.ID], next[msg.ID]); string(msg.Data) != want {
			t.Fatalf("%v: message %.80q; want %.80q", msg.ID, msg.Data, want)
		}
		next[msg.ID]++
	}
	sending.Wait()
}

func answersInOrder(t *testing.T, s suite) {
	const clients, messages = 20, 500
	r := s.start(t)
	var receiving, sending sync.WaitGroup
	for k := range clients {
		c, id := r.connect()
		sending.Go(func() {
			for m := range messages {
				if err := r.SendData(id, []byte(described(k, m))); err != nil {
					t.Errorf("SendData: %v", err)
				}
			}
		})
		receiving.Go(func() {
			for m := range messages {
				c.expect(described(k, m) + "\n")
			}
		})
	}
	sending.Wait()
	receiving.Wait()
}

func messageIsOwned(t *testing.T, s suite) {
	r := s.start(t)
	c, _ := r.connect()
	c.send("first\nsecond\nthird\n")
	var got [][]byte
	for range 3 {
		got = append(got, r.message().Data)
	}
	for _, data := range got {
		if cap(data) != len(data) {
			t.Errorf("message %q has capacity %d; want its length %d", data, cap(data), len(data))
		}
		_ = append(data, "overrun"...)
		clear(data[:1])
	}
	if want := [][]byte{[]byte("\x00irst"), []byte("\x00econd"), []byte("\x00hird")}; !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
		t.Errorf("messages %q; want %q", got, want)
	}
}

func largeMessage(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	large := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB, the default limit
	var sending sync.WaitGroup
	sending.Go(func() { c.send("a\n" + large + "\nz\n") })
	r.expectMessage(id, "a")
	r.expectMessage(id, large)
	r.expectMessage(id, "z")
	sending.Wait()
}

func emptyMessage(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	c.send("\n\nx\n")
	r.expectMessage(id, "")
	r.expectMessage(id, "")
	r.expectMessage(id, "x")
	for _, msg := range []string{"", "", "y"} {
		if err := r.SendData(id, []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	c.expect("\n\ny\n")
}

var framingTests = []test{
	{"messages are cut right however their bytes arrive", framings},
	{"raw bytes all arrive in order", rawBytes},
	{"a message over the limit ends the connection after the earlier ones", tooLarge},
	{"a broken framing ends the connection after the earlier messages", malformed},
	{"a message that the framing refuses is refused alone", unframeable},
}

func framings(t *testing.T, s suite) {
	texts := []string{"one....", "two....", "three..", "four...", "five..."}
	for _, f := range []string{"line", "line&line-ending=crlf", "delimiter&delimiter=%3B%3B", "length", "length&length-bytes=varint", "netstring", "fixed&fixed-size=7"} {
		t.Run(f, func(t *testing.T) {
			r := s.start(t, func(c *transport.Config) { c.Listeners[0].Codec = codec(t, f) })
			var stream []byte
			for _, text := range texts {
				if f == "delimiter&delimiter=%3B%3B" {
					text += ";;"
				}
				var err error
				if stream, err = codec(t, f).Encode(stream, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			for _, piece := range []int{1, 3, len(stream)} {
				c, id := r.connect()
				for at := 0; at < len(stream); at += piece {
					c.send(string(stream[at:min(at+piece, len(stream))]))
				}
				for _, text := range texts {
					if f == "delimiter&delimiter=%3B%3B" {
						text += ";;"
					}
					r.expectMessage(id, text)
				}
			}
		})
	}
}

func rawBytes(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.Listeners[0].Codec = codec(t, "raw&buffer-size=100") })
	c, id := r.connect()
	want := strings.Repeat("0123456789", 5000)
	var sending sync.WaitGroup
	sending.Go(func() { c.send(want) })
	var got []byte
	for len(got) < len(want) {
		m := r.message()
		if len(m.Data) == 0 || len(m.Data) > 100 {
			t.Fatalf("message of %d bytes; want 1 to 100", len(m.Data))
		}
		got = append(got, m.Data...)
	}
	sending.Wait()
	if string(got) != want {
		t.Error("the bytes are not those that were sent")
	}
	for range 3 {
		if err := r.SendData(id, []byte("raw")); err != nil {
			t.Fatal(err)
		}
	}
	c.expect("rawrawraw")
}

func tooLarge(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.Listeners[0].Codec = codec(t, "line&max-message=100") })
	c, id := r.connect()
	c.send("a\nb\n" + strings.Repeat("x", 102))
	r.expectMessage(id, "a")
	r.expectMessage(id, "b")
	r.expectClosed(id, transport.ReasonTooLarge)
	if rest := c.rest(); rest != "" {
		t.Errorf("the client read %q", rest)
	}
	c.Close()
	r.expectNoMoreEvents()
}

func malformed(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.Listeners[0].Codec = codec(t, "netstring") })
	c, id := r.connect()
	c.send("1:a,2:bc,nonsense")
	r.expectMessage(id, "a")
	r.expectMessage(id, "bc")
	r.expectClosed(id, transport.ReasonProtocol)
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the client read %v; want the end of the stream", err)
	}
	c.Close()
	r.expectNoMoreEvents()
}

func unframeable(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	if err := r.SendData(id, []byte("two\nlines")); err == nil {
		t.Error("a line with a line break in it was accepted")
	}
	if err := r.SendData(id, make([]byte, 2<<20)); err == nil {
		t.Error("a message over the limit was accepted")
	}
	if err := r.SendData(id, []byte("good")); err != nil {
		t.Error(err)
	}
	c.expect("good\n")
}
