package chaos

import (
	"fmt"
	"time"
)

// answerWithin bounds how long any send may take: the deadline of a waiting send,
// and as much again for a machine that is busy.
const answerWithin = 20 * time.Second

// reportWithin is how long after a fault what it cost may be reported.
const reportWithin = 2 * time.Second

// answers compares what senders were told with what became of their messages.
func answers(x *index) (all []Violation) {
	for _, k := range x.keys {
		if x.lives[k.from] == nil {
			continue
		}
		f := x.flows[k]
		accepted, lost := 0, 0
		for i := range f.sent {
			r := &f.sent[i]
			if r.Word == Accepted {
				accepted++
				if f.missing(r) {
					lost++
				}
			}
			if fault := x.untrue(k, r, f.missing(r)); fault != "" {
				all = append(all, Violation{6, fmt.Sprintf("message %c%d of %s to %s %s", k.stream, r.Seq, k.from, k.to, fault)})
			}
		}
		if !x.open(k.to) || !x.complete(k) {
			continue
		}
		switch reported, certain := f.reports(); {
		case lost > reported:
			all = append(all, Violation{6, fmt.Sprintf("%d of %d accepted messages %c of %s to %s have not arrived, and %d are reported", lost, accepted, k.stream, k.from, k.to, reported)})
		case lost < certain:
			all = append(all, Violation{6, fmt.Sprintf("%d of %d accepted messages %c of %s to %s have not arrived, and %d are reported as not delivered", lost, accepted, k.stream, k.from, k.to, certain)})
		}
	}
	return all
}

// untrue returns what is wrong with the answer that a sender had, which may have
// ended since.
func (x *index) untrue(k flowKey, r *Record, missing bool) string {
	switch r.Word {
	case Accepted, Uncertain:
		return ""
	case Written:
		if missing && x.open(k.to) {
			return "was written, and has not arrived"
		}
	case Gone:
		if x.open(k.to) {
			return "was answered gone, and the connection is there"
		} else if !missing {
			return "was answered gone, and has arrived"
		}
	case Unreachable, Backpressure, Expired, ShutDown:
		if r.Word == ShutDown && x.lives[k.from].lives() {
			return "was answered closed by a node that is not"
		} else if !missing {
			return "was refused as " + r.Word + ", and has arrived"
		}
	default:
		if x.complete(k) {
			return "was answered " + r.Word
		}
	}
	return ""
}

// lateAnswers finds answers that took too long, and those that no fault excuses.
func lateAnswers(x *index) (all []Violation) {
	for _, l := range x.Lives {
		for _, r := range l.Records {
			word := r.Word
			switch r.Kind { //nolint:exhaustive // the others answer nothing
			case Sent, Kicked:
			case Undelivered:
				if word != Gone && !x.excused(l.Number, r.ID.Node(), r.Begin-int64(reportWithin), r.End) {
					all = append(all, Violation{6, fmt.Sprintf("a message of %s to %s is reported as %s, outside of a fault that may cost one", l.Number, r.ID, word)})
				}
				continue
			default:
				continue
			}
			if took := time.Duration(r.End - r.Begin); took > answerWithin && !x.excused(l.Number, l.Number, r.Begin, r.End) {
				all = append(all, Violation{6, fmt.Sprintf("%s %c%d of %s to %s took %v to be answered", r.Kind, r.Stream, r.Seq, l.Number, r.ID, took)})
			}
			switch word {
			case Accepted, Written, Gone:
			case Unreachable, Backpressure, Expired, Uncertain:
				if !x.excused(l.Number, r.ID.Node(), r.Begin, r.End) {
					all = append(all, Violation{6, fmt.Sprintf("%s %c%d of %s to %s was answered %s, outside of a fault that may cost one", r.Kind, r.Stream, r.Seq, l.Number, r.ID, word)})
				}
			default:
				if l.lives() {
					all = append(all, Violation{6, fmt.Sprintf("%s %c%d of %s to %s was answered %s", r.Kind, r.Stream, r.Seq, l.Number, r.ID, word)})
				}
			}
		}
	}
	return all
}
