package consensus_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"flamingo/idspace"
)

const racers = 50

// registryModel is what clients may believe under a clock that stands still:
// a boot that has no number gets the next one, and one that has keeps it. No
// number is skipped, as each boot asks until it knows its own.
var registryModel = porcupine.Model{
	Init: func() any { return modelState{} },
	Step: func(state, input, output any) (bool, any) {
		st, boot, got := state.(modelState), input.(int), output.(idspace.NodeNumber)
		if have := st.numbers[boot]; have != 0 {
			return got == have, st
		}
		next := max(st.last+1, idspace.NodeNumber(idspace.TickAt(standstill)))
		st.last, st.numbers[boot] = next, next
		return got == next, st
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("boot %d: %v", in, out) },
}

type modelState struct {
	last    idspace.NodeNumber
	numbers [racers]idspace.NodeNumber
}

// race has many boots ask for their number at once, over and over, until each
// has it, while leaders are cut off and stopped. A request that got no answer
// may have been committed, then or later: the first answer counts from the
// first request on.
func race(t *testing.T, servers, kills int) []porcupine.Operation {
	w := newWorld(t)
	w.memoryCluster(servers, fixedClock)
	defer w.stopAll()
	leader(t, w.running()...)

	var mu sync.Mutex
	var history []porcupine.Operation
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			boot := newBoot(t)
			called, answers := time.Since(begin), 0
			for try := 0; ; try++ {
				nodes := w.running()
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				g, err := nodes[(i+try)%len(nodes)].Grant(ctx, boot, 1, idspace.ServerID{}, 0)
				cancel()
				if err == nil {
					mu.Lock()
					history = append(history, porcupine.Operation{
						ClientId: i, Input: i, Output: g.Number,
						Call: int64(called), Return: int64(time.Since(begin)),
					})
					mu.Unlock()
					if answers++; answers == 2 {
						return
					}
					called = time.Since(begin)
				}
				<-time.After(time.Duration(20+i) * time.Millisecond)
			}
		})
	}
	for range kills {
		<-time.After(700 * time.Millisecond)
		lead := leader(t, w.running()...)
		w.partition(lead.id)
		<-time.After(300 * time.Millisecond)
		_ = lead.stop()
	}
	wg.Wait()
	return history
}

func TestRacingGrantsAreLinearizableWhileLeadersDie(t *testing.T) {
	for _, tt := range []struct{ servers, kills int }{{3, 1}, {5, 2}} {
		t.Run(fmt.Sprint(tt.servers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				history := race(t, tt.servers, tt.kills)
				holders := make(map[idspace.NodeNumber]int)
				for _, op := range history {
					n, boot := op.Output.(idspace.NodeNumber), op.Input.(int)
					if other, ok := holders[n]; ok && other != boot {
						t.Errorf("number %v was granted to boots %d and %d", n, other, boot)
					}
					holders[n] = boot
				}
				if len(holders) < racers {
					t.Errorf("%d numbers for %d boots", len(holders), racers)
				}
				if !linearizable(history) {
					t.Errorf("not linearizable: %+v", history)
				}
			})
		})
	}
}

func linearizable(history []porcupine.Operation) bool {
	return porcupine.CheckOperationsTimeout(registryModel, history, time.Minute) == porcupine.Ok
}

// The negative control: the checker sees a number granted twice, a boot with
// two numbers, and a number that went down.
func TestCheckerSeesAFaultyRegistry(t *testing.T) {
	op := func(boot int, n idspace.NodeNumber, call int64) porcupine.Operation {
		return porcupine.Operation{ClientId: boot, Input: boot, Output: n, Call: call, Return: call + 5}
	}
	base := idspace.NodeNumber(idspace.TickAt(standstill))
	good := []porcupine.Operation{op(0, base, 0), op(1, base+1, 2), op(0, base, 20), op(2, base+2, 30)}
	if !linearizable(good) {
		t.Error("a good history is refused")
	}
	for name, bad := range map[string]porcupine.Operation{
		"twice":        op(3, base+2, 40),
		"another":      op(0, base+3, 40),
		"below a last": op(3, base-1, 40),
	} {
		if linearizable(append(slices.Clone(good), bad)) {
			t.Errorf("%s: %+v is accepted", name, bad)
		}
	}
}
