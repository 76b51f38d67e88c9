//go:build e2e && linux

package chaos

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// felt is how long before the first and after the last moment of a fault what it
// does may be seen.
const felt = time.Second

// inflict carries out a step, waits until all is well again, and keeps the proof
// that the step took effect. An error says that it had none, or that the nodes did
// not recover.
func (w *world) inflict(s Step, seed uint64) error {
	f := Fault{Step: s, Nodes: []int{s.Node}, Begin: now() - int64(felt)}
	switch s.What { //nolint:exhaustive // the others cost the node messages, and those who send to it
	case Abort, Relay, Datagrams, Grants, Intruding:
		f.Lossless = true
	case Lead:
		lead, _ := w.leader()
		f.Nodes = []int{lead}
	}
	var err error
	f.Proof, err = w.strike(s, seed)
	if err == nil {
		err = w.whole()
	}
	f.End = now() + int64(felt)
	w.mu.Lock()
	w.faults = append(w.faults, f)
	w.hit[s.What] += max(1, s.Times)
	w.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	w.t.Logf("%6.2f s: %v: %s", float64(f.End-f.Begin)/1e9, s, f.Proof)
	if !f.Lossless {
		<-time.After(felt) // for what follows to be judged by itself
	}
	return nil
}

func (w *world) strike(s Step, seed uint64) (proof string, err error) {
	switch s.What {
	case Kill:
		return w.replace(s.Node, false)
	case Wipe:
		return w.wipe(s)
	case Draining:
		return w.drain(s)
	case Retiring:
		return w.retire(s)
	case Exile:
		return w.exile(s)
	case Intruding:
		return w.intrude(s)
	case Partition, OneWay, Datagrams:
		return w.isolate(s)
	case Abort:
		return w.abort(s)
	case Pause:
		return w.pause(s.Node, s.For)
	case Lead:
		return w.depose(s.Node % 4)
	case SyncError:
		return w.spoilDisk(s, "fdatasync", "error=EIO")
	case DiskFull:
		return w.spoilDisk(s, "pwrite64", "error=ENOSPC")
	case SlowDisk:
		return w.spoilDisk(s, "fdatasync", "delay_enter=3000000")
	case Relay:
		return w.relay(s, seed)
	case Grants:
		return fmt.Sprintf("%d numbers granted", s.Times), w.node(s.Node).tell(Order{Do: Race, Count: s.Times}, time.Minute)
	}
	return "", fmt.Errorf("%w: no such fault", errors.ErrUnsupported)
}

// replace kills node i and starts it again, with its disk or without.
func (w *world) replace(i int, wipe bool) (proof string, err error) {
	if proof, err = w.node(i).kill(); err != nil {
		return proof, err
	}
	if wipe {
		entries, err := os.ReadDir(w.home(i))
		if err != nil || len(entries) == 0 {
			return proof, fmt.Errorf("a directory to wipe: %d files, %w", len(entries), err)
		}
		if err := os.RemoveAll(w.home(i)); err != nil {
			return proof, err
		}
		w.node(i).finish(Wiped)
		proof += fmt.Sprintf(", %d files removed", len(entries))
	}
	if err := w.begin(i); err != nil {
		return proof, err
	}
	return proof, w.welcome(i)
}

// isolate has packets dropped between one node and all others.
func (w *world) isolate(s Step) (proof string, err error) {
	var errs []error
	for i := range w.nets {
		if i == s.Node {
			continue
		}
		errs = append(errs, w.nets[s.Node].deafen(10+i, s.What == Datagrams))
		if s.What != OneWay {
			errs = append(errs, w.nets[i].deafen(10+s.Node, s.What == Datagrams))
		}
	}
	<-time.After(s.For)
	dropped, err := w.hearAll()
	errs = append(errs, err)
	if dropped == 0 {
		errs = append(errs, errors.New("no packet was dropped"))
	}
	return fmt.Sprintf("%d packets dropped", dropped), errors.Join(errs...)
}

// rush is the milliseconds between two rounds while links are aborted, so that
// there is something on its way when one is.
const rush = 4

// hurry has every node send as often as that, or as usual: 0.
func (w *world) hurry(ms int) {
	for i := range w.nets {
		_ = w.node(i).tell(Order{Do: Rush, Count: ms}, 5*time.Second) // else it does as before
	}
}

func (w *world) abort(s Step) (proof string, err error) {
	w.hurry(rush)
	defer w.hurry(0)
	all := 0
	for range s.Times {
		n, err := w.nets[s.Node].abort()
		if err != nil {
			return "", err
		}
		if all += n; n == 0 {
			return "", fmt.Errorf("no connection to abort; %d were", all)
		}
		<-time.After(s.For)
	}
	return fmt.Sprintf("%d connections aborted in %d times", all, s.Times), nil
}

func (w *world) pause(i int, d time.Duration) (proof string, err error) {
	p := w.node(i)
	if proof, err = p.stop(); err != nil {
		return proof, errors.Join(err, p.resume())
	}
	<-time.After(d)
	return proof, p.resume()
}

// leader is the node that has become the leader last.
func (w *world) leader() (node int, since int64) {
	for i := range w.nets {
		if at := w.node(i).ledSince(); at > since {
			node, since = i, at
		}
	}
	return node, since
}

// depose ends who leads, in one of four ways, and waits for another leader.
func (w *world) depose(way int) (proof string, err error) {
	lead, since := w.leader()
	if since == 0 {
		return "", errors.New("nobody has become the leader")
	}
	old := w.node(lead)
	begin := now()
	undo := func() error { return nil }
	how := ""
	switch way {
	case 0:
		how, err = old.kill()
		undo = func() error { return errors.Join(w.begin(lead), w.welcome(lead)) }
	case 1:
		how, err = old.stop()
		undo = old.resume
	case 2:
		how = "cut off"
		err = w.cutOff(lead)
		undo = func() error {
			_, err := w.hearAll()
			return err
		}
	case 3:
		how = "told to leave"
		w.hurry(rush) // for much to be on its way
		err = old.leave(Order{Do: Leave})
		w.hurry(0)
		undo = func() error { return errors.Join(w.begin(lead), w.welcome(lead)) }
	}
	if err == nil {
		err = w.awaitLeader(begin, lead)
	}
	if err = errors.Join(err, undo()); err != nil {
		return how, err
	}
	next, _ := w.leader()
	return fmt.Sprintf("leader %d %s; leader %d after %v", lead, how, next, time.Duration(w.node(next).ledSince()-begin)), nil
}

// awaitLeader waits until another node than old leads.
func (w *world) awaitLeader(since int64, old int) error {
	for late := time.Now().Add(patience); time.Now().Before(late); <-time.After(10 * time.Millisecond) {
		if lead, at := w.leader(); at > since && lead != old {
			return nil
		}
	}
	return fmt.Errorf("invariant 9: no leader but node %d after %v", old, patience)
}

// spoilDisk has writes of a node fail or take long. A store that failed stays
// closed, and a leader whose disk hangs ends its part in consensus, so the node is
// started again.
func (w *world) spoilDisk(s Step, call, how string) (proof string, err error) {
	p := w.node(s.Node)
	heal, err := p.spoil(w.dir, call, how)
	if err != nil {
		return "", err
	}
	other := w.node(s.Peer)
	for late := time.Now().Add(patience); !injected(w.dir, p) && time.Now().Before(late); {
		_ = other.tell(Order{Do: Race, Count: 1}, 15*time.Second) // for voters to write; it need not be granted meanwhile
	}
	<-time.After(s.For)
	times, err := heal()
	if err == nil && times == 0 {
		err = fmt.Errorf("no %s of node %d", call, s.Node)
	}
	proof = fmt.Sprintf("%s %s %d times", call, how, times)
	if err != nil {
		return proof, err
	}
	killed, err := w.replace(s.Node, false)
	return proof + ", " + killed, err
}

func (w *world) relay(s Step, seed uint64) (proof string, err error) {
	r, err := newRelay(rough, seed, w.nets[s.Node], w.nets[s.Peer], 10+s.Node, 10+s.Peer)
	if err != nil {
		return "", err
	}
	<-time.After(s.For / 2)
	aborted, err := w.abort(Step{Node: s.Node, Times: 3, For: s.For / 6}) // with more on its way
	proof = r.proof() + ", " + aborted
	effective := r.effective()
	if err := errors.Join(err, r.close()); err != nil {
		return proof, err
	}
	if !effective {
		return proof, errors.New("packets were not treated in every way")
	}
	return proof, nil
}
