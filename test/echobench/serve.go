//go:build linux

package main

import (
	"context"
	"fmt"
	"io"

	"flamingo"
	"flamingo/test/echobench/subject"
)

// serve echoes with Flamingo until ctx is done or in ends.
func serve(ctx context.Context, kind, addr string, in io.Reader, out io.Writer) error {
	n, err := flamingo.OpenContext(ctx, flamingo.Opts{
		Listen: []string{"tcp://" + addr}, BufferTillDelim: true, Delim: '\n',
		Ignore: flamingo.IgnoreOpens | flamingo.IgnoreCloses,
	})
	if err != nil {
		return err
	}
	switch kind {
	case "flamingo":
		for range subject.Workers {
			go func() {
				for {
					id, msg := n.RecvData()
					if id == 0 {
						return
					}
					_ = n.SendData(id, msg)
				}
			}()
		}
	case "flamingo-serve":
		go func() {
			_ = n.Serve(ctx, flamingo.HandlerFuncs{Data: func(id flamingo.ID, msg []byte) { _ = n.SendData(id, msg) }}, 1)
		}()
	default:
		return fmt.Errorf("kind %q: allowed are flamingo, flamingo-serve", kind)
	}
	return subject.Obey(in, out, addr)
}
