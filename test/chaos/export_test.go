package chaos

import "flamingo/idspace"

// GrantsAreInOrder applies the check of grants to numbers, each of which was asked
// for at call and there at back.
func GrantsAreInOrder(numbers []idspace.NodeNumber, call, back []int64) bool {
	var grants []grant
	for i, n := range numbers {
		grants = append(grants, grant{n, call[i], back[i]})
	}
	return len(unordered(grants)) == 0
}
