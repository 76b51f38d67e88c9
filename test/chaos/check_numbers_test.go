package chaos_test

import (
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"flamingo/idspace"
	"flamingo/test/chaos"
)

// grantModel is what all who ask may believe: a number is greater than every one
// that was granted before it.
var grantModel = porcupine.Model{
	Init: func() any { return idspace.NodeNumber(0) },
	Step: func(state, _, output any) (bool, any) {
		last, got := state.(idspace.NodeNumber), output.(idspace.NodeNumber)
		return got > last, got
	},
}

// porcupine searches, for which the grants of a long run are too many at once; so
// it judges the check on short histories.
func TestCheckOfGrantsAgreesWithPorcupine(t *testing.T) {
	verdicts := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 8).Draw(t, "grants")
		var numbers []idspace.NodeNumber
		var call, back []int64
		var history []porcupine.Operation
		for i := range n {
			number := idspace.NodeNumber(rapid.IntRange(1, 40).Draw(t, "number"))
			begin := int64(rapid.IntRange(0, 40).Draw(t, "call")) * 2
			if rapid.Bool().Draw(t, "in time") { // else most histories are bad
				begin = int64(number)
			}
			end := begin + 1 + int64(rapid.IntRange(0, 20).Draw(t, "took"))*2 // never that of a call
			if begin%2 == 1 {
				begin, end = begin+1, end+1
			}
			numbers, call, back = append(numbers, number), append(call, begin), append(back, end)
			history = append(history, porcupine.Operation{ClientId: i, Output: number, Call: begin, Return: end})
		}
		want := porcupine.CheckOperations(grantModel, history)
		verdicts[want]++
		if got := chaos.GrantsAreInOrder(numbers, call, back); got != want {
			t.Errorf("in order: %v, porcupine says %v: %v, called at %v, there at %v", got, want, numbers, call, back)
		}
	})
	if verdicts[true] < 5 || verdicts[false] < 5 {
		t.Errorf("verdicts %v: want some of each", verdicts)
	}
}
