package idspace_test

import (
	"fmt"
	"time"

	"flamingo/idspace"
)

// A registry grants a number to one life of a node, under which the node then
// issues ids.
func Example() {
	now := time.Date(2026, 11, 22, 18, 39, 0, 0, time.UTC)

	registry := idspace.NewRegistry()
	grant := idspace.Grant{Boot: idspace.BootID{0xb0}, Ordinal: 1, Tick: idspace.TickAt(now)}
	res, err := registry.Apply(grant)
	if err != nil {
		fmt.Println(err)
		return
	}
	again, _ := registry.Apply(grant) // its answer was lost
	fmt.Println(res.Number, again.Number, again.Repeated)

	ids, err := idspace.NewSequence(res.Number, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := ids.Next()
	fmt.Println(id, err)

	back, err := idspace.ParseID(id.String())
	fmt.Println(back == id, err, back.Node().Time())
	// Output:
	// 01ad7dc40 01ad7dc40 true
	// 01ad7dc400000001 <nil>
	// true <nil> 2026-11-22 18:39:00 +0000 UTC
}
