package transport_test

import (
	"testing"

	"flamingo/transport"
)

// Whoever sheds may have looked at a connection before it had the output for
// which another goroutine wants to shed.
func TestOutputThatGrowsWhileAnotherShedsIsShed(t *testing.T) {
	for _, driver := range []string{"default", "portable"} {
		t.Run(driver, func(t *testing.T) {
			tr, _ := serve(t, func(c *transport.Config) {
				c.Portable = driver == "portable"
				c.OutputBytes, c.TotalOutputBytes = 64<<20, 1<<20
			})
			connect(t, tr) // does not read
			c, _ := tr.RecvOpen()
			asked, shed := transport.HoldShedder(tr)
			for range 64 { // 32 MB, more than the kernel holds
				if err := tr.SendData(c.ID(), make([]byte, 512<<10)); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "output to be too much", asked)
			if st := tr.Stats(); st.Shed != 0 {
				t.Errorf("stats %+v; want nobody ended", st)
			}
			shed()
			if !tr.AwaitClose(limit(t)) {
				t.Fatalf("the connection has not ended; stats %+v", tr.Stats())
			}
			if _, why, _ := tr.RecvClose(); why != transport.ReasonSlow {
				t.Errorf("ended for %v; want slow", why)
			}
		})
	}
}
