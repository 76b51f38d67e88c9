package chaos

import (
	"fmt"

	"flamingo/idspace"
)

// A story is what one node saw of one connection.
type story struct {
	opens, closes, last, data int
	kicked                    bool // by the owner itself, and accepted
	reason                    string
	broken                    string // the first thing out of place
}

func (s *story) breaks(format string, args ...any) {
	if s.broken == "" {
		s.broken = fmt.Sprintf(format, args...)
	}
}

// closes finds connections that did not open, have their messages in order, and
// close if they ended, once each.
func closes(x *index) (all []Violation) {
	for _, l := range x.Lives {
		stories, order := l.stories()
		next := l.next()
		for _, id := range order {
			s := stories[id]
			if next != 0 && id.Node() == next {
				continue // is not judged: the life has ended
			}
			if s.broken == "" && l.lives() {
				s.settle(x.clients[id])
			}
			if id.Node() != l.Number {
				s.breaks("is no id of this node")
			}
			if s.broken != "" {
				all = append(all, Violation{7, fmt.Sprintf("connection %s at %s: %s", id, l.Number, s.broken)})
			}
		}
		if !l.lives() {
			continue
		}
		for _, c := range x.Clients {
			if c.ID.Node() == l.Number && stories[c.ID] == nil {
				all = append(all, Violation{7, fmt.Sprintf("connection %s at %s: no open", c.ID, l.Number)})
			}
		}
	}
	return all
}

func (l *Life) stories() (stories map[idspace.ID]*story, order []idspace.ID) {
	stories = map[idspace.ID]*story{}
	of := func(id idspace.ID) *story {
		if stories[id] == nil {
			stories[id] = &story{}
			order = append(order, id)
		}
		return stories[id]
	}
	for _, r := range l.Records {
		switch r.Kind {
		case Opened:
			s := of(r.ID)
			if s.opens++; s.opens > 1 {
				s.breaks("opened %d times", s.opens)
			}
		case Data:
			s := of(r.ID)
			s.data++
			switch {
			case s.opens == 0:
				s.breaks("a message before the open")
			case s.closes > 0:
				s.breaks("message %d after the close", r.Seq)
			case r.Word == "" && r.Seq != s.last+1:
				s.breaks("message %d after %d", r.Seq, s.last)
			}
			s.last = r.Seq
		case Closed:
			s := of(r.ID)
			s.reason = r.Word
			switch s.closes++; {
			case s.opens == 0:
				s.breaks("a close before the open")
			case s.closes > 1:
				s.breaks("closed %d times", s.closes)
			}
		case Kicked:
			if r.ID.Node() == l.Number && r.Word == Accepted {
				of(r.ID).kicked = true
			}
		case Number, Sent, Undelivered, Leads, Raced, Link, Stat, Watched, Noticed, Joined, Published, Reborn, Retired, Intruded, Answered:
		}
	}
	return stories, order
}

// settle compares the story, which is complete, with the client's.
func (s *story) settle(c *Client) {
	want := 0
	switch {
	case c == nil: // it ended before it was greeted
		want = 1
	case s.kicked: // is not told of what it did itself
	case c.Ended:
		want = 1
	}
	if s.closes != want {
		s.breaks("closed %d times (%s), want %d", s.closes, s.reason, want)
	}
	if c != nil && !c.Ended && s.data != c.Sent {
		s.breaks("%d messages, and its client has sent %d", s.data, c.Sent)
	}
	if c != nil && s.data > c.Sent {
		s.breaks("%d messages, and its client has sent %d only", s.data, c.Sent)
	}
}
