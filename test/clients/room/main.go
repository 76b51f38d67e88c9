// Room is a chat room across the nodes of a cluster. Its twins are python/room.py and
// node/room.mjs: any of them may serve any node, and take over from another.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"flamingo/test/clients/attach"
)

const room = "room"

func handle(w *attach.Worker, e attach.Event) []attach.Action {
	id := fmt.Sprintf("%016x", e.ID)
	switch {
	case e.Type == attach.Open:
		return []attach.Action{attach.Join(e.ID, room), attach.Send(e.ID, []byte("welcome "+id))}
	case e.Type == attach.Closed:
		return []attach.Action{attach.Publish(room, []byte("* "+id+" left"))}
	case string(e.Data) == "/quit":
		return []attach.Action{attach.Send(e.ID, []byte("bye")), attach.Close(e.ID)}
	case string(e.Data) == "/who":
		w.Ask(5, 0, room, func(_ uint64, body []byte) {
			var count struct{ Count int }
			_ = json.Unmarshal(body, &count) // of a failure there is none
			w.Do(attach.Send(e.ID, fmt.Appendf(nil, "%d here", count.Count)))
		})
		return nil
	default:
		return []attach.Action{attach.Publish(room, []byte(id+": "+string(e.Data)))}
	}
}

// main attaches to the address that is given, again and again: a node may come back.
func main() {
	network, address, name := "tcp", os.Args[1], os.Args[2]
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	for {
		err := attach.Run(context.Background(), network, address, name, os.Getenv("ATTACH_TOKEN"), handle)
		fmt.Fprintln(os.Stderr, "room:", err)
		<-time.After(200 * time.Millisecond)
	}
}
