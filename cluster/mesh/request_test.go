package mesh_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

func TestRequestsAreAnswered(t *testing.T) {
	bubble(t, func(r *rig) {
		r.node(2).handle = func(_ context.Context, peer idspace.BootID, kind mesh.RequestKind, body []byte) ([]byte, error) {
			switch kind { //nolint:exhaustive // every other kind is unknown to this handler
			case mesh.RequestGrant:
				return append([]byte("granted "), body...), nil
			case mesh.RequestConfirm:
				return nil, errors.New("not the leader")
			case mesh.RequestJoin:
				return make([]byte, mesh.MaxRequest+1), nil
			default:
				return nil, mesh.ErrUnknownRequest
			}
		}
	}, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		for _, tc := range []struct {
			kind mesh.RequestKind
			body string
			want string
			err  error
		}{
			{mesh.RequestGrant, "7", "granted 7", nil},
			{mesh.RequestConfirm, "", "", mesh.ErrRequestFailed},
			{mesh.RequestJoin, "", "", mesh.ErrTooLarge},
			{mesh.RequestEndLife, "", "", mesh.ErrUnknownRequest},
			{mesh.RequestGrant, string(make([]byte, mesh.MaxRequest+1)), "", mesh.ErrTooLarge},
		} {
			got, err := a.Request(ctx, b.boot, tc.kind, []byte(tc.body))
			if !errors.Is(err, tc.err) || string(got) != tc.want {
				t.Errorf("request %d: %q, %v, want %q, %v", tc.kind, got, err, tc.want, tc.err)
			}
		}
		if got, err := a.To(b.boot).Describe(ctx, idOf(2, 7)); err != nil || string(got) != "conn "+idOf(2, 7).String() {
			t.Errorf("Describe: %q, %v", got, err)
		}
		if _, err := a.To(b.boot).Describe(ctx, idOf(2, 7000)); !errors.Is(err, mesh.ErrNeverIssued) {
			t.Errorf("Describe: %v", err)
		}
		if p := a.peer(b.boot); p.State != mesh.StateUp {
			t.Errorf("state %v", p.State)
		}
	})
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	var release chan struct{}
	bubble(t, func(r *rig) {
		release = make(chan struct{})
		r.config = func(c *mesh.Config) {
			if c.Identity.Boot() == bootOf(2) {
				c.MaxRequests = 3
			} else {
				c.MaxRequests = 5
			}
		}
		r.node(2).handle = func(context.Context, idspace.BootID, mesh.RequestKind, []byte) ([]byte, error) {
			<-release
			return []byte("done"), nil
		}
	}, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		results := make(chan error, 9)
		for range 3 {
			go func() {
				_, err := a.Request(ctx, b.boot, mesh.RequestGrant, nil)
				results <- err
			}()
		}
		synctest.Wait()
		if _, err := a.Request(ctx, b.boot, mesh.RequestGrant, nil); !errors.Is(err, mesh.ErrBackpressure) {
			t.Errorf("over the peer's bound: %v", err)
		}
		if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, []byte("x")); err != nil {
			t.Error(err)
		}
		flush(t, a) // requests under way hold nothing up
		close(release)
		for range 3 {
			if err := <-results; err != nil {
				t.Errorf("a request within the bound: %v", err)
			}
		}
	})
}

func TestOwnRequestsUnderWayAreBounded(t *testing.T) {
	bubble(t, func(r *rig) {
		r.dial = func(_, _ *node) error { return errNoRoute }
		r.config = func(c *mesh.Config) { c.MaxRequests = 1 }
	}, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Second)
		defer cancel()
		done := make(chan error)
		go func() {
			_, err := a.Request(ctx, b.boot, mesh.RequestGrant, nil)
			done <- err
		}()
		synctest.Wait()
		if _, err := a.Request(ctx, b.boot, mesh.RequestGrant, nil); !errors.Is(err, mesh.ErrBackpressure) {
			t.Errorf("the second: %v", err)
		}
		if err := <-done; !errors.Is(err, mesh.ErrExpired) {
			t.Errorf("a request that was never sent: %v, want ErrExpired", err)
		}
		if _, err := a.Request(context.Background(), b.boot, mesh.RequestGrant, nil); !errors.Is(err, mesh.ErrUnreachable) {
			t.Errorf("without end: %v, want ErrUnreachable", err)
		}
	})
}

func TestBlankNodesExchangePromisesAndGrantsAlone(t *testing.T) {
	for name, blank := range map[string][]int{"asking": {1}, "asked": {2}, "both": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				for _, n := range blank {
					r.node(n).cluster = idspace.ClusterID{}
				}
			}, func(t *testing.T, a, b *node) {
				ctx, cancel := within(time.Minute)
				defer cancel()
				for kind, want := range map[mesh.RequestKind]error{
					mesh.RequestPromise: nil, mesh.RequestGrant: nil, mesh.RequestRelease: nil,
					mesh.RequestConfirm: mesh.ErrBlank, mesh.RequestJoin: mesh.ErrBlank,
				} {
					if _, err := a.Request(ctx, b.boot, kind, nil); !errors.Is(err, want) {
						t.Errorf("request %d: %v, want %v", kind, err, want)
					}
				}
				if err := a.To(b.boot).Send(ctx, idOf(2, 1), mesh.KindDefault, []byte("x")); !errors.Is(err, mesh.ErrUnreachable) || len(b.messages(idOf(2, 1))) > 0 {
					t.Errorf("a message: %v", err)
				}
				for _, n := range []*node{a, b} { // the cluster is founded
					n.mu.Lock()
					n.cluster = theCluster
					n.mu.Unlock()
				}
				after(10 * time.Second)
				if _, err := a.Request(ctx, b.boot, mesh.RequestConfirm, nil); err != nil {
					t.Errorf("a request in the cluster: %v", err)
				}
				if err := a.To(b.boot).Send(ctx, idOf(2, 1), mesh.KindDefault, []byte("x")); err != nil {
					t.Errorf("a message in the cluster: %v", err)
				}
			})
		})
	}
}

// A request that two blank nodes do not exchange waits until those under way have
// ended, and goes with the next session, to which the cluster is known.
func TestRequestWaitsForASessionInTheCluster(t *testing.T) {
	var answer chan struct{}
	bubble(t, func(r *rig) {
		answer = make(chan struct{})
		for _, n := range []*node{r.node(1), r.node(2)} {
			n.cluster = idspace.ClusterID{}
		}
		r.node(2).handle = func(ctx context.Context, _ idspace.BootID, kind mesh.RequestKind, body []byte) ([]byte, error) {
			if kind == mesh.RequestPromise {
				<-answer
			}
			return body, nil
		}
	}, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		ask := func(kind mesh.RequestKind) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := a.Request(ctx, b.boot, kind, nil)
				done <- err
			}()
			synctest.Wait()
			return done
		}
		promise := ask(mesh.RequestPromise)
		for _, n := range []*node{a, b} { // the cluster is founded
			n.mu.Lock()
			n.cluster = theCluster
			n.mu.Unlock()
		}
		confirm, grant := ask(mesh.RequestConfirm), ask(mesh.RequestGrant)
		select {
		case err := <-confirm:
			t.Errorf("a request in the cluster, beside one of before: %v at once", err)
		default:
		}
		close(answer)
		for name, done := range map[string]<-chan error{"promise": promise, "confirm": confirm, "grant": grant} {
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestNumbersAreTold(t *testing.T) {
	bubble(t, func(r *rig) {
		for n := idspace.NodeNumber(1); n <= 2500; n++ {
			r.node(2).numbers = append(r.node(2).numbers, n)
		}
	}, func(t *testing.T, a, b *node) {
		if err := a.Connect(b.boot); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		a.mu.Lock()
		heard := slices.Clone(a.heard[b.boot])
		a.mu.Unlock()
		slices.Sort(heard)
		heard = slices.Compact(heard)
		if len(heard) != 2501 {
			t.Errorf("heard of %d numbers, want 2501", len(heard))
		}
		a.mu.Lock()
		a.numbers = append(a.numbers, 77)
		a.mu.Unlock()
		a.Announce()
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if !slices.Contains(b.heard[a.boot], 77) {
			t.Errorf("heard %v, want 77 among it", b.heard[a.boot])
		}
	})
}
