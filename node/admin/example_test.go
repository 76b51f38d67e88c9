package admin_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"flamingo/node"
	"flamingo/node/admin"
)

// A program shows its node to the machine it runs on: before the node is there,
// while it is, and while it is about to leave.
func Example() {
	quiet := slog.New(slog.DiscardHandler)
	h, err := admin.New(admin.Config{Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // by convention port 4180, admin.DefaultPort
	if err != nil {
		fmt.Println(err)
		return
	}
	server := admin.Server(h)
	defer server.Close()
	go func() { _ = server.Serve(ln) }()

	ask := func() {
		resp, err := http.Get("http://" + ln.Addr().String() + "/readyz")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, strings.TrimSpace(string(text)))
	}

	h.Waiting("opening")
	ask()
	n, err := node.Open(node.Opts{Listen: []string{"tcp://127.0.0.1:0"}, Ignore: node.IgnoreOpens | node.IgnoreCloses, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	h.Attach(n)
	ask()
	if err := n.StartDrain(node.DrainPlan{Wait: time.Hour}); err != nil {
		fmt.Println(err)
	}
	ask()
	if err := n.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	ask()
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 503 opening
	// 200 ok
	// 503 draining
	// 503 closed
}
