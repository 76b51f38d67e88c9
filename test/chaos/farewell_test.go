//go:build e2e && linux

package chaos

import (
	"errors"
	"fmt"
	"time"

	"flamingo/idspace"
)

// Faults by which a life ends in an order, or by a decision of the others.

// retirePatience is how long nodes may take to see that another one is away, and
// to retire it: a subject tries for as long itself.
const retirePatience = 45 * time.Second

// giveUp has node by retire the number of a life, which is away.
func (w *world) giveUp(p *process, by int) (proof string, err error) {
	begin := time.Now()
	p.finish(GivenUp)
	number := p.number()
	if err := w.node(by).tell(Order{Do: Retire, IDs: []idspace.ID{idspace.ID(number)}}, retirePatience); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s retired by node %d after %v", number, by, time.Since(begin).Round(time.Millisecond)), nil
}

// wipe starts a node without its disk, and has the number retired that it had:
// nobody else can know that it does not come back.
func (w *world) wipe(s Step) (proof string, err error) {
	old := w.node(s.Node)
	if proof, err = w.replace(s.Node, true); err != nil {
		return proof, err
	}
	retired, err := w.giveUp(old, s.Peer)
	return proof + ", " + retired, err
}

func (w *world) retire(s Step) (proof string, err error) {
	old := w.node(s.Node)
	if proof, err = old.kill(); err != nil {
		return proof, err
	}
	retired, err := w.giveUp(old, s.Peer)
	proof += ", " + retired
	return proof, errors.Join(err, w.begin(s.Node), w.welcome(s.Node))
}

// exile cuts a node off, which serves its clients on, until its number is retired,
// and lets it come back: it takes another one, and greets under that. Then it is started again, for it to be
// judged by one number at a time.
func (w *world) exile(s Step) (proof string, err error) {
	p := w.node(s.Node)
	if err := w.cutOff(s.Node); err != nil {
		return "", err
	}
	retired, err := w.giveUp(p, s.Peer)
	served := w.served(p.number(), now()-second)
	dropped, errHear := w.hearAll()
	proof = fmt.Sprintf("%d packets dropped, %s, %d messages to its clients in the last second", dropped, retired, served)
	if err := errors.Join(err, errHear); err != nil {
		return proof, err
	}
	if served == 0 {
		return proof, fmt.Errorf("invariant 9: node %d served its clients no more when it was alone", s.Node)
	}
	next, err := p.awaitRebirth(w.habits.converge)
	if err != nil {
		return proof, err
	}
	u, err := dialUser(fmt.Sprintf("%s:%d", address(10+s.Node), clientPort))
	if err != nil {
		return proof, err
	}
	u.end("fin")
	if u.id.Node() != next || next <= p.number() {
		return proof, fmt.Errorf("invariant 20: node %s was retired and goes on as %s, under which a client is %s", p.number(), next, u.id)
	}
	killed, err := w.replace(s.Node, false)
	return fmt.Sprintf("%s, back as %s, %s", proof, next, killed), err
}

// served counts the messages of a node that its own clients have read since a time.
func (w *world) served(n idspace.NodeNumber, since int64) (messages int) {
	for _, u := range w.everybody() {
		if u.id.Node() != n {
			continue
		}
		got := u.told().Got
		for i := len(got) - 1; i >= 0 && got[i].At >= since; i-- {
			if got[i].From == n {
				messages++
			}
		}
	}
	return messages
}

// awaitRebirth waits until the node has taken another number, and returns it.
func (p *process) awaitRebirth(patience time.Duration) (idspace.NodeNumber, error) {
	late := time.After(patience)
	for {
		p.mu.Lock()
		next, changed := p.reborn, p.changed
		p.mu.Unlock()
		if next != 0 {
			return next, nil
		}
		select {
		case <-changed:
		case <-p.ended:
			return 0, fmt.Errorf("%w: it was to take another number", errEnded)
		case <-late:
			return 0, fmt.Errorf("invariant 20: node %s was retired and has no other number after %v", p.number(), patience)
		}
	}
}

// cutOff has packets dropped between one node and all others; hearAll ends that.
func (w *world) cutOff(node int) error {
	var errs []error
	for i := range w.nets {
		if i != node {
			errs = append(errs, w.nets[node].deafen(10+i, false), w.nets[i].deafen(10+node, false))
		}
	}
	return errors.Join(errs...)
}

// hearAll has no more packets dropped, and returns how many were.
func (w *world) hearAll() (dropped int, err error) {
	var errs []error
	for _, n := range w.nets {
		packets, err := n.hear()
		dropped += packets
		errs = append(errs, err)
	}
	return dropped, errors.Join(errs...)
}

// drain drains a node, which then leaves, and starts it again.
func (w *world) drain(s Step) (proof string, err error) {
	p := w.node(s.Node)
	before := len(w.present())
	if err := p.leave(Order{Do: Drain, Count: int(s.For.Milliseconds())}); err != nil {
		return "", err
	}
	drained := p.count(Closed, "drained")
	if drained == 0 {
		return "", fmt.Errorf("node %d: no connection was drained; %d were there at all nodes", s.Node, before)
	}
	return fmt.Sprintf("%d connections drained", drained), errors.Join(w.begin(s.Node), w.welcome(s.Node))
}

// count is how many records of a kind say word.
func (p *process) count(kind Kind, word string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.life.Records {
		if r := &p.life.Records[i]; r.Kind == kind && r.Word == word {
			n++
		}
	}
	return n
}

// intrude has strangers ask for numbers, if nodes have a key.
func (w *world) intrude(s Step) (proof string, err error) {
	if w.keyFile == "" {
		return "nodes have no key", nil
	}
	return "2 strangers have asked", w.node(s.Node).tell(Order{Do: Intrude, Count: int(s.For.Milliseconds())}, s.For+patience)
}
