package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/idspace"
	"flamingo/node"
)

var errLost = errors.New("lost")

// A peer that misses announcements, hears some twice or forgets everything knows
// the groups in the end, whatever was missed.
func TestMissedAnnouncementsHeal(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random, fate := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 3))
			h := node.NewHerald(idspace.BootID{1})
			var mu sync.Mutex
			lossy := true
			h.Carry = func(body []byte, hear func([]byte) ([]byte, error)) ([]byte, error) {
				mu.Lock()
				dice, bad := fate.IntN(10), lossy
				mu.Unlock()
				if bad && dice < 2 {
					return nil, errLost
				}
				answer, err := hear(body)
				switch {
				case bad && dice < 4:
					return nil, errLost // it was heard all the same
				case bad && dice < 6:
					return hear(body)
				}
				return answer, err
			}
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { h.Run(ctx) })

			has := make(map[string]bool)
			turn := func(groups int) {
				name := fmt.Sprint("g", random.IntN(groups))
				has[name] = !has[name]
				h.Set(name, has[name])
			}
			for range 200 {
				switch random.IntN(20) {
				case 0:
					h.Forget()
				case 2, 3:
					h.Away(random.IntN(2) == 0)
				case 1:
					for range 20_000 { // more than is remembered
						turn(30_000)
					}
				default:
					turn(50)
				}
				<-time.After(time.Duration(random.IntN(500)) * time.Millisecond)
			}
			mu.Lock()
			lossy = false
			mu.Unlock()
			h.Away(false)
			<-time.After(3 * time.Second)
			if !h.Agree() {
				t.Errorf("seed %d: the peer does not know the groups", seed)
			}
			stop()
			running.Wait()
		})
	}
}

// What no announcement would find, because nothing changes, the audit does.
func TestAuditFindsWhatAPeerHasWrong(t *testing.T) {
	for name, spoil := range map[string]func(*node.Herald){"a group is missing": (*node.Herald).Corrupt, "everything is": (*node.Herald).Forget} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := node.NewHerald(idspace.BootID{1})
				h.Carry = func(body []byte, hear func([]byte) ([]byte, error)) ([]byte, error) { return hear(body) }
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { h.Run(ctx) })
				h.Set("a", true)
				h.Set("b", true)
				synctest.Wait()
				if !h.Agree() {
					t.Error("the peer does not know the groups before anything is wrong")
				}
				spoil(h)
				<-time.After(4 * time.Minute)
				if h.Agree() {
					t.Error("nothing is wrong: the test shows nothing")
				}
				<-time.After(2 * time.Minute)
				if !h.Agree() {
					t.Error("the peer does not know the groups after an audit")
				}
				stop()
				running.Wait()
			})
		})
	}
}

func TestPublishReachesWhoCameSinceTheLastLook(t *testing.T) {
	a := node.NewAudience()
	for want := 1; want <= 3; want++ {
		a.Come(idspace.BootID{byte(want)})
		a.Moved++
		if got := a.Reached(); got != want {
			t.Errorf("with %d others, of which one has just come, a publish goes to %d", want, got)
		}
	}
}

func FuzzGroupRequests(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x01\x00\x1a\xdc\x90\x00\x00\x00\x2a\x01g"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x2a\x00\x0agroup"))
	f.Add([]byte("\x00\x0aname"))
	f.Add([]byte("\x01\x04name\x00\x00\x00\x02"))
	f.Add(append([]byte("\x01\x01"), make([]byte, 4*8+2*9)...))
	f.Fuzz(func(t *testing.T, body []byte) {
		for k, once := range node.RecodeGroups(body) {
			if once == nil {
				continue
			}
			if len(once) > len(body) {
				t.Errorf("layout %d: %x became %x", k, body, once)
			}
			if twice := node.RecodeGroups(once)[k]; !bytes.Equal(once, twice) {
				t.Errorf("layout %d: %x became %x", k, once, twice)
			}
		}
		node.HearGroups(body, body)
	})
}
