package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"flamingo/idspace"
)

// What a record of kind Noticed may say.
const (
	NoticeUnreachable = "unreachable"
	NoticeReachable   = "reachable"
	NoticeReason      = ":" // between NoticeClosed and the reason
	NoticeClosed      = "closed"
	NoticeEnd         = "end" // nothing follows
)

// Reasons that only others than the connection's node give.
const (
	nodeEnded   = "node-ended"
	nodeRetired = "retired"
)

// A vigil is what one node was told of one connection that it watched.
type vigil struct {
	since   int64
	notices []Record
}

// closed is the notice of the end; nil without one.
func (v *vigil) closed() *Record {
	for i := range v.notices {
		if strings.HasPrefix(v.notices[i].Word, NoticeClosed) {
			return &v.notices[i]
		}
	}
	return nil
}

// watches compares what watches told with what became of the connections.
func watches(x *index) (all []Violation) {
	ends := x.ends()
	for _, l := range x.Lives {
		if l.Number == 0 {
			continue
		}
		vigils, order := l.vigils()
		for _, id := range order {
			v := vigils[id]
			fault := v.form()
			if fault == "" {
				fault = x.toldTruly(l, id, v, ends[id])
			}
			if fault != "" {
				all = append(all, Violation{18, fmt.Sprintf("watch of %s by %s: %s; it said %s", id, l.Number, fault, v.said())})
			}
		}
		all = append(all, x.afterClosed(l, vigils)...)
	}
	return all
}

func (l *Life) vigils() (vigils map[idspace.ID]*vigil, order []idspace.ID) {
	vigils = map[idspace.ID]*vigil{}
	for _, r := range l.Records {
		if !l.judged(r.End) {
			continue
		}
		switch r.Kind { //nolint:exhaustive // the others are not of watches
		case Watched:
			vigils[r.ID] = &vigil{since: r.Begin}
			order = append(order, r.ID)
			if r.Word != "" {
				vigils[r.ID].notices = append(vigils[r.ID].notices, r)
			}
		case Noticed:
			if v := vigils[r.ID]; v != nil {
				v.notices = append(v.notices, r)
			}
		}
	}
	return vigils, order
}

// form returns what is wrong with the notices, whatever became of the connection.
func (v *vigil) form() string {
	closed := false
	for i, r := range v.notices {
		switch {
		case strings.HasPrefix(r.Word, NoticeClosed+NoticeReason):
			if closed {
				return "closed twice"
			}
			closed = true
		case r.Word == NoticeEnd:
			if !closed {
				return "an end without a reason"
			}
			if i != len(v.notices)-1 {
				return "more behind the end"
			}
		case r.Word == NoticeUnreachable, r.Word == NoticeReachable:
			if closed {
				return r.Word + " after closed"
			}
		default:
			return "no notice of a connection that was there"
		}
	}
	return ""
}

func (v *vigil) said() string {
	words := []string{}
	for _, r := range v.notices {
		words = append(words, fmt.Sprintf("%s at %v", r.Word, time.Duration(r.End)))
	}
	return fmt.Sprint(words)
}

// An ending is what may have ended a connection, as far as others know.
type ending struct {
	owner  string   // the reason that its node gave; empty if it gave none
	may    []string // reasons of which one must be the true one
	before int64    // when its node ended; 0: it did not
}

// toldTruly returns what is wrong with a watch whose notices are well formed.
func (x *index) toldTruly(l *Life, id idspace.ID, v *vigil, e ending) string {
	for _, r := range v.notices {
		if r.Word == NoticeUnreachable && !x.excused(l.Number, id.Node(), r.End-int64(reportWithin), r.End) {
			return "unreachable outside of a fault"
		}
	}
	closed, owner := v.closed(), x.lives[id.Node()]
	switch {
	case x.open(id) && closed != nil:
		return "closed, and the connection is there"
	case l.lives() && x.open(id) && len(v.notices) > 0 && v.notices[len(v.notices)-1].Word == NoticeUnreachable:
		return "not told that it is reached again"
	case x.open(id) || owner == nil || x.clients[id] == nil:
		return ""
	case closed == nil && owner.Fate == Wiped:
		return "" // nobody can know
	case closed == nil && !l.lives() && !x.hadTime(l, id):
		return ""
	case closed == nil:
		return "not told of the end"
	case l.lives() && v.notices[len(v.notices)-1].Word != NoticeEnd:
		return "closed, and not the end"
	}
	reason := strings.TrimPrefix(closed.Word, NoticeClosed+NoticeReason)
	switch {
	case e.owner != "" && owner.lives() && reason != e.owner:
		return "its node said " + e.owner
	case !slices.Contains(e.may, reason) && reason != e.owner:
		return fmt.Sprintf("it was one of %v", e.may)
	case (reason == nodeEnded || reason == nodeRetired) && closed.End < e.before:
		return fmt.Sprintf("its node ended at %v", time.Duration(e.before))
	}
	return ""
}

// hadTime reports whether a life that has ended had time to hear of the end of a
// connection before.
func (x *index) hadTime(l *Life, id idspace.ID) bool {
	c := x.clients[id]
	return c.EndedAt != 0 && c.EndedAt+arriveWithin < l.End && !x.excused(l.Number, id.Node(), c.EndedAt, c.EndedAt+arriveWithin)
}

// ends returns what may have ended each connection.
func (x *index) ends() map[idspace.ID]ending {
	ends := map[idspace.ID]ending{}
	for _, l := range x.Lives {
		for _, r := range l.Records {
			e := ends[r.ID]
			switch {
			case r.Kind == Closed:
				e.owner = r.Word
			case r.Kind == Kicked && r.ID.Node() == l.Number:
				e.may = append(e.may, "sent")
			case r.Kind == Kicked:
				e.may = append(e.may, "remote")
			default:
				continue
			}
			ends[r.ID] = e
		}
	}
	for _, c := range x.Clients {
		l := x.lives[c.ID.Node()]
		if l == nil {
			continue
		}
		e := ends[c.ID]
		switch c.EndsAs {
		case "fin": // with input that is unread the kernel makes a reset of it
			e.may = append(e.may, "client", "error")
		case "reset":
			e.may = append(e.may, "error")
		}
		if !l.lives() {
			e.may, e.before = append(e.may, l.Fate.reasons()...), l.End
			if !l.Left {
				// What was recorded of the last moments is lost, of the node and of
				// others that were killed since.
				e.may = append(e.may, "sent", "remote")
			}
		}
		ends[c.ID] = e
	}
	return ends
}

// afterClosed finds sends to a connection of which its watch had said that it is
// closed, and which arrived; and if its node has ended, those that were not answered
// gone. Otherwise a send may be accepted, and reported as gone.
func (x *index) afterClosed(l *Life, vigils map[idspace.ID]*vigil) (all []Violation) {
	for i := range l.Records {
		r := &l.Records[i]
		if r.Kind != Sent || vigils[r.ID] == nil || !l.judged(r.End) {
			continue
		}
		closed := vigils[r.ID].closed()
		if closed == nil || r.Begin <= closed.End {
			continue
		}
		over := strings.HasSuffix(closed.Word, NoticeReason+nodeEnded) || strings.HasSuffix(closed.Word, NoticeReason+nodeRetired)
		if x.arrived(flowKey{l.Number, r.ID, r.Stream}, r.Seq) || r.Word == Written || over && r.Word != Gone {
			all = append(all, Violation{18, fmt.Sprintf("message %c%d of %s to %s was answered %s, and the watch had said %s before", r.Stream, r.Seq, l.Number, r.ID, r.Word, closed.Word)})
		}
	}
	return all
}
