package chaos

import "fmt"

// misdeliveries finds what has arrived where, or though, nobody sent it.
func misdeliveries(x *index) (all []Violation) {
	for _, c := range x.Clients {
		for _, r := range c.Got {
			if r.To != 0 && r.To != c.ID {
				all = append(all, Violation{1, fmt.Sprintf("connection %s received message %d of %s to %s", c.ID, r.Seq, r.From, r.To)})
			}
		}
	}
	for _, k := range x.keys {
		f := x.flows[k]
		if !x.complete(k) {
			continue
		}
		sent := make(map[int]bool, len(f.sent))
		for i := range f.sent {
			sent[f.sent[i].Seq] = true
		}
		if isGroup(k.stream) {
			sent = x.published[flowKey{from: k.from, stream: k.stream}]
		}
		for _, r := range f.got {
			if !sent[r.Seq] {
				all = append(all, Violation{1, fmt.Sprintf("connection %s received message %c%d, which %s never sent it", k.to, k.stream, r.Seq, k.from)})
			}
		}
	}
	return all
}

// disorder finds what has arrived after a later message, or again.
func disorder(x *index) (all []Violation) {
	for _, k := range x.keys {
		last, seen := 0, map[int]bool{}
		for _, r := range x.flows[k].got {
			switch {
			case seen[r.Seq]:
				all = append(all, Violation{3, fmt.Sprintf("connection %s received message %c%d of %s twice", k.to, k.stream, r.Seq, k.from)})
			case r.Seq < last:
				all = append(all, Violation{2, fmt.Sprintf("connection %s received message %c%d of %s after %d", k.to, k.stream, r.Seq, k.from, last)})
			}
			seen[r.Seq], last = true, max(last, r.Seq)
		}
	}
	return all
}

// damage finds what is no message, at clients and at nodes.
func damage(x *index) (all []Violation) {
	for _, c := range x.Clients {
		for _, what := range c.Damage {
			all = append(all, Violation{4, fmt.Sprintf("connection %s received: %s", c.ID, what)})
		}
	}
	for _, l := range x.Lives {
		for _, r := range l.Records {
			if r.Kind == Data && r.Word != "" {
				all = append(all, Violation{4, fmt.Sprintf("node %s received from %s: %s", l.Number, r.ID, r.Word)})
			}
		}
	}
	return all
}

// holes finds accepted messages before others that have arrived, which have not and
// were not reported; and what has arrived though it was sent after gone.
func holes(x *index) (all []Violation) {
	for _, k := range x.keys {
		f := x.flows[k]
		if !x.complete(k) || len(f.got) == 0 {
			continue
		}
		last := 0
		for _, r := range f.got {
			last = max(last, r.Seq)
		}
		missing, gone := 0, 0
		for i := range f.sent {
			r := &f.sent[i]
			switch {
			case r.Word == Gone && gone == 0:
				gone = r.Seq
			case gone != 0 && !f.missing(r):
				all = append(all, Violation{5, fmt.Sprintf("message %c%d of %s to %s has arrived, and %d was answered gone", k.stream, r.Seq, k.from, k.to, gone)})
			}
			if (r.Word == Accepted || r.Word == Written) && r.Seq < last && f.missing(r) {
				missing++
			}
		}
		if reported, _ := f.reports(); missing > reported {
			all = append(all, Violation{5, fmt.Sprintf("%d accepted messages %c of %s to %s have not arrived and later ones have; %d are reported", missing, k.stream, k.from, k.to, reported)})
		}
	}
	return all
}
