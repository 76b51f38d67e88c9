package trust_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/trust"
	"flamingo/cluster/trust/trusttest"
)

var alpns = []string{"flamingo-gossip/1", "flamingo-raft/1", "flamingo-mesh/1"}

func open(t *testing.T, cfg trust.Config) *trust.Trust {
	t.Helper()
	if cfg.ClusterName == "" {
		cfg.ClusterName = "flamingo"
	}
	tr, err := trust.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// ends are what became of the two ends of a stream.
type ends struct {
	dialed, accepted       net.Conn
	dialedErr, acceptedErr error
	alpn                   string
}

// meet has a dial b for the protocol, on loopback. Both connections end with the
// test.
func meet(t *testing.T, a, b *trust.Trust, alpn string) ends {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return meetOver(t, near, far, a, b, alpn)
}

func meetOver(t *testing.T, near, far net.Conn, a, b *trust.Trust, alpn string) (e ends) {
	t.Helper()
	t.Cleanup(func() { near.Close(); far.Close() })
	for _, c := range []net.Conn{near, far} {
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if e.dialed, e.dialedErr = a.Dialed(near, alpn); e.dialedErr != nil {
			near.Close()
		}
	})
	wg.Go(func() {
		if e.accepted, e.alpn, e.acceptedErr = b.Accepted(far, alpns); e.acceptedErr != nil {
			far.Close()
		}
	})
	wg.Wait()
	return e
}

func TestModeSaysByWhatNodesAreToldFromStrangers(t *testing.T) {
	key := trusttest.KeyFile(t, trusttest.NewKey(t))
	if got := (*trust.Trust)(nil).Mode().String(); got != "none" {
		t.Errorf("without a trust it is %s, want none", got)
	}
	if got := open(t, trust.Config{KeyFile: key}).Mode().String(); got != "key" {
		t.Errorf("with a key it is %s, want key", got)
	}
}

func TestNodesOfOneKeyMeet(t *testing.T) {
	key := trusttest.NewKey(t)
	a, b := open(t, trust.Config{KeyFile: trusttest.KeyFile(t, key)}), open(t, trust.Config{KeyFile: trusttest.KeyFile(t, key)})
	for _, alpn := range alpns {
		e := meet(t, a, b, alpn)
		if e.dialedErr != nil || e.acceptedErr != nil || e.alpn != alpn {
			t.Fatalf("%s: dialing end %v, accepting end %v for %q", alpn, e.dialedErr, e.acceptedErr, e.alpn)
		}
		for _, size := range []int{1, 16 << 10, 16<<10 + 1, 300 << 10} {
			sent := bytes.Repeat([]byte{byte(size)}, size)
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = e.dialed.Write(sent) })
			got := make([]byte, size)
			if _, err := io.ReadFull(e.accepted, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%s: %d bytes arrive as others, or not: %v", alpn, size, err)
			}
			wg.Wait()
		}
		e.dialed.Close()
		if _, err := e.accepted.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the close Read = %v, want io.EOF", alpn, err)
		}
	}
}

// TestStrangersAreToldApart from nodes, and from each other.
func TestStrangersAreToldApart(t *testing.T) {
	key, other := trusttest.NewKey(t), trusttest.NewKey(t)
	right := trusttest.KeyFile(t, key)
	ca, otherCA := trusttest.NewAuthority(t), trusttest.NewAuthority(t)
	node := func(cluster, name string) trust.Identity {
		return trust.Identity{Cluster: cluster, Role: trust.RoleNode, Name: name}
	}
	certified := func(a trusttest.Authority, id trust.Identity, now time.Time) trust.Config {
		cert, private := a.Issue(t, id, now, time.Hour)
		// It believes whom it likes, and is let in or not by the other end.
		return trust.Config{ClusterName: id.Cluster, KeyFile: right, Cert: cert, Key: private, CA: a.File, Now: func() time.Time { return now }}
	}
	keyed := open(t, trust.Config{KeyFile: right})
	withCA := open(t, certified(ca, node("flamingo", "ash"), time.Now()))
	// An impostor of the role is one whose own files are in order for itself.
	client := certified(ca, trust.Identity{Cluster: "flamingo", Role: "client", Name: "eve"}, time.Now())

	for name, tc := range map[string]struct {
		stranger *trust.Trust
		of       *trust.Trust
		want     error
	}{
		"right key":          {open(t, trust.Config{KeyFile: right}), keyed, nil},
		"right certificate":  {open(t, certified(ca, node("flamingo", "birch"), time.Now())), withCA, nil},
		"wrong key":          {open(t, trust.Config{KeyFile: trusttest.KeyFile(t, other)}), keyed, trust.ErrProof},
		"other cluster, key": {open(t, trust.Config{KeyFile: right, ClusterName: "other"}), keyed, trust.ErrProof},
		"no certificate":     {open(t, trust.Config{KeyFile: right}), withCA, trust.ErrNoCertificate},
		"wrong CA":           {open(t, certified(otherCA, node("flamingo", "eve"), time.Now())), withCA, trust.ErrUntrusted},
		"wrong role":         {trust.Unchecked(t, client), withCA, trust.ErrRole},
		"expired":            {open(t, certified(ca, node("flamingo", "old"), time.Now().Add(-3*time.Hour))), withCA, trust.ErrUntrusted},
		"other cluster, CA":  {open(t, certified(ca, node("other", "oak"), time.Now())), withCA, trust.ErrRole},
		"right CA, wrong key": {open(t, func() trust.Config {
			c := certified(ca, node("flamingo", "eve"), time.Now())
			c.KeyFile = trusttest.KeyFile(t, other)
			return c
		}()), withCA, trust.ErrProof},
	} {
		t.Run(name, func(t *testing.T) {
			in := meet(t, trust.Credulous(tc.stranger), tc.of, alpns[0])
			if !errors.Is(in.acceptedErr, tc.want) || (in.acceptedErr == nil) != (tc.want == nil) {
				t.Errorf("dialing in: %v, want %v", in.acceptedErr, tc.want)
			}
			if tc.want != nil && in.dialedErr == nil {
				t.Error("dialing in: the stranger was not refused")
			}
			if c, ok := in.accepted.(*trust.Conn); ok && name == "right certificate" && c.Peer().String() != "flamingo://flamingo/node/birch" {
				t.Errorf("the peer is %v", c.Peer())
			}
			out := meet(t, tc.of, tc.stranger, alpns[0])
			if (out.dialedErr == nil) != (tc.want == nil) {
				t.Errorf("dialed: %v, want %v", out.dialedErr, tc.want)
			}
			if errors.Is(out.dialedErr, trust.ErrUntrusted) && !errors.Is(out.acceptedErr, trust.ErrRefusedByPeer) {
				t.Errorf("dialed: the stranger gets %v, want ErrRefusedByPeer", out.acceptedErr)
			}
		})
	}
}

// TestProofIsOfOneSessionAndEnd has somebody stand between two nodes, and throw a
// proof back.
func TestProofIsOfOneSessionAndEnd(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	one, two := []byte("session one"), []byte("session two")
	proof := trust.Prove(key, trust.DialingEnd, one)
	for name, tc := range map[string]struct {
		keys    [][]byte
		end     string
		session []byte
		want    bool
	}{
		"right":           {[][]byte{key}, trust.DialingEnd, one, true},
		"second key":      {[][]byte{bytes.Repeat([]byte{2}, 32), key}, trust.DialingEnd, one, true},
		"another key":     {[][]byte{bytes.Repeat([]byte{2}, 32)}, trust.DialingEnd, one, false},
		"another session": {[][]byte{key}, trust.DialingEnd, two, false},
		"thrown back":     {[][]byte{key}, trust.AcceptingEnd, one, false},
	} {
		if got := trust.Matching(tc.keys, proof, tc.end, tc.session) != nil; got != tc.want {
			t.Errorf("%s: the proof holds: %t, want %t", name, got, tc.want)
		}
	}
}

func TestKeysAreChecked(t *testing.T) {
	key := trusttest.NewKey(t)
	for name, tc := range map[string]struct {
		text string
		want string // in the error; empty for none
	}{
		"one":           {key.Text(), ""},
		"with comments": {"# in use\r\n\n" + key.Text() + "\r\n" + trusttest.NewKey(t).Text() + "\n", ""},
		"empty":         {"", "0 keys"},
		"comments":      {"# none\n", "0 keys"},
		"short":         {"c2hvcnQ=", "line 1: 5 bytes: want 32"},
		"long":          {strings.TrimSuffix(key.Text(), "=") + "AAAA", "want 32"},
		"no base64":     {"\n" + strings.Repeat("!", 44), "line 2: want 32 bytes in base64"},
		"zeros":         {trust.Key{}.Text(), "all bytes are zero"},
		"twice":         {key.Text() + "\n" + key.Text(), "line 2: the same key"},
		"nine":          {nine(t), "9 keys: want 1 to 8"},
	} {
		keys, err := trust.ParseKeys([]byte(tc.text))
		switch {
		case tc.want == "" && (err != nil || keys[0] != key):
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		case tc.want != "" && (!errors.Is(err, trust.ErrBadKeyFile) || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want ErrBadKeyFile with %q", name, err, tc.want)
		case err != nil && strings.Contains(err.Error(), key.Text()):
			t.Errorf("%s: the error has the key: %v", name, err)
		}
	}
}

func nine(t *testing.T) string {
	var text strings.Builder
	for range trust.MaxKeys + 1 {
		text.WriteString(trusttest.NewKey(t).Text() + "\n")
	}
	return text.String()
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(trust.Key{1}.Text() + "\n# x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := trust.ParseKeys(text)
		if (err == nil) != (len(keys) > 0) || len(keys) > trust.MaxKeys {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		var again strings.Builder
		for _, k := range keys {
			again.WriteString(k.Text() + "\n")
		}
		if len(keys) > 0 {
			if got, err := trust.ParseKeys([]byte(again.String())); err != nil || len(got) != len(keys) {
				t.Errorf("what was read is written as what is not: %v", err)
			}
		}
	})
}

func TestKeyFileIsForItsOwnerAlone(t *testing.T) {
	path := trusttest.KeyFile(t, trusttest.NewKey(t))
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o644: false, 0o660: false, 0o604: false, 0o602: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := trust.LoadKeys(path)
		if (err == nil) != ok || err != nil && (!strings.Contains(err.Error(), "chmod 600 "+path) || !errors.Is(err, trust.ErrBadKeyFile)) {
			t.Errorf("mode %#o: %v, want allowed: %t", mode, err, ok)
		}
	}
	for _, bad := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := trust.LoadKeys(bad); !errors.Is(err, trust.ErrBadKeyFile) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v, want ErrBadKeyFile that names it", bad, err)
		}
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	key := trusttest.NewKey(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key)
	text := fmt.Sprintf("%v %s %+v %#v %v", key, key, key, key, []trust.Key{key}) + log.String()
	if strings.Contains(text, key.Text()) || strings.Contains(text, fmt.Sprintf("%x", key[:4])) || strings.Contains(text, fmt.Sprint(key[:4])) {
		t.Errorf("the key is in %q", text)
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := trust.New(trust.Config{ClusterName: "a b", Cert: "cert.pem"})
	if !errors.Is(err, trust.ErrBadConfig) {
		t.Fatalf("New = %v, want ErrBadConfig", err)
	}
	for _, want := range []string{`certificate "cert.pem", key "", CA ""`, "without a key file", `"a b"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want it to name %s", err, want)
		}
	}
}

// TestRotationRefusesNobody has two nodes meet in every pair of steps that a
// rotation goes through.
func TestRotationRefusesNobody(t *testing.T) {
	before, after := trusttest.NewKey(t), trusttest.NewKey(t)
	steps := [][]trust.Key{{before}, {before, after}, {after, before}, {after}}
	synctest.Test(t, func(t *testing.T) {
		pathA, pathB := trusttest.KeyFile(t, steps[0]...), trusttest.KeyFile(t, steps[0]...)
		a, b := open(t, trust.Config{KeyFile: pathA}), open(t, trust.Config{KeyFile: pathB})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		changes := 0
		wg.Go(func() { _ = a.Run(ctx, func() { changes++ }) })
		wg.Go(func() { _ = b.Run(ctx, func() {}) })
		check := func(step int) {
			t.Helper()
			<-time.After(2 * time.Second)
			synctest.Wait()
			for _, pair := range [][2]*trust.Trust{{a, b}, {b, a}} {
				if e := meetInMemory(t, pair[0], pair[1], alpns[2]); e.dialedErr != nil || e.acceptedErr != nil {
					t.Errorf("step %d: %v and %v", step, e.dialedErr, e.acceptedErr)
				}
			}
		}
		check(0)
		for i, keys := range steps[1:] {
			trusttest.WriteKeys(t, pathA, keys...)
			check(i + 1) // b is a step behind
			trusttest.WriteKeys(t, pathB, keys...)
			check(i + 1)
		}
		cancel()
		wg.Wait()
		if changes != 3 || a.Counts().Reloads != 3 || a.Counts().ReloadFaults != 0 {
			t.Errorf("%d changes told, counted %+v, want 3 and no fault", changes, a.Counts())
		}
		// Who has missed a rotation is a stranger: what the rotation is for.
		if e := meetInMemory(t, open(t, trust.Config{KeyFile: trusttest.KeyFile(t, before)}), a, alpns[2]); !errors.Is(e.acceptedErr, trust.ErrProof) {
			t.Errorf("with the former key: %v, want ErrProof", e.acceptedErr)
		}
	})
}

// Nobody writes the files again when it becomes valid.
func TestCertificateIsTakenOverWhenItBecomesValid(t *testing.T) {
	ca, keys := trusttest.NewAuthority(t), trusttest.KeyFile(t, trusttest.NewKey(t))
	own := trust.Identity{Cluster: "test", Role: trust.RoleNode, Name: "a"}
	outset := time.Now()
	cert, key := ca.Issue(t, own, outset.Add(-time.Hour), 10*time.Hour)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		now := func() time.Time { return outset.Add(time.Since(begin)) }
		a := open(t, trust.Config{ClusterName: "test", KeyFile: keys, Cert: cert, Key: key, CA: ca.File, Now: now})
		nextCert, nextKey := ca.Issue(t, own, now().Add(time.Hour+time.Minute), 12*time.Hour) // backdated by an hour
		for _, move := range [][2]string{{nextKey, key}, {nextCert, cert}} {
			if err := os.Rename(move[0], move[1]); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = a.Run(ctx, func() {}) })
		<-time.After(30 * time.Second)
		if got := a.Counts(); got.Reloads != 0 || got.ReloadFaults != 1 {
			t.Errorf("before it is valid: counted %+v, want one fault", got)
		}
		<-time.After(time.Minute)
		if got := a.Counts(); got.Reloads != 1 || got.ReloadFaults != 1 {
			t.Errorf("when it is valid: counted %+v, want it taken over", got)
		}
		cancel()
		wg.Wait()
	})
}

func TestFaultyChangeLeavesTheFormerKeys(t *testing.T) {
	key := trusttest.NewKey(t)
	synctest.Test(t, func(t *testing.T) {
		path := trusttest.KeyFile(t, key)
		var log bytes.Buffer
		a := open(t, trust.Config{KeyFile: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = a.Run(ctx, func() { t.Error("a change is told that cannot be used") }) })
		if err := os.WriteFile(path, []byte("half a k"), 0o600); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		cancel()
		wg.Wait()
		if got := a.Counts(); got != (trust.Counts{ReloadFaults: 1}) || a.Keys() != 1 || strings.Count(log.String(), "cannot be used") != 1 {
			t.Errorf("counted %+v, %d keys, logged %q", got, a.Keys(), log.String())
		}
		if e := meetInMemory(t, open(t, trust.Config{KeyFile: trusttest.KeyFile(t, key)}), a, alpns[0]); e.acceptedErr != nil {
			t.Errorf("with the former key: %v", e.acceptedErr)
		}
	})
}

// TestWhatIsTakenAwayEndsStreams that were opened with it, and no others.
func TestWhatIsTakenAwayEndsStreams(t *testing.T) {
	before, after := trusttest.NewKey(t), trusttest.NewKey(t)
	ca, nextCA := trusttest.NewAuthority(t), trusttest.NewAuthority(t)
	id := trust.Identity{Cluster: "flamingo", Role: trust.RoleNode, Name: "ash"}
	now := time.Now() // a bubble's own time is no CA's
	clock := func() time.Time { return now }
	synctest.Test(t, func(t *testing.T) {
		path := trusttest.KeyFile(t, before, after)
		cert, private := ca.Issue(t, id, now, time.Hour)
		pool, err := os.ReadFile(ca.File)
		if err != nil {
			t.Fatal(err)
		}
		both := filepath.Join(t.TempDir(), "both.pem")
		next, err := os.ReadFile(nextCA.File)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(both, append(pool, next...), 0o600); err != nil {
			t.Fatal(err)
		}
		a := open(t, trust.Config{KeyFile: path, Cert: cert, Key: private, CA: both, Now: clock})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = a.Run(ctx, func() {}) })

		config := func(keys []trust.Key, by trusttest.Authority) trust.Config {
			cert, private := by.Issue(t, id, now, time.Hour)
			return trust.Config{KeyFile: trusttest.KeyFile(t, keys...), Cert: cert, Key: private, CA: both, Now: clock}
		}
		old := meetInMemory(t, open(t, config([]trust.Key{before}, ca)), a, alpns[2])
		renewed := meetInMemory(t, open(t, config([]trust.Key{after}, ca)), a, alpns[2])
		moved := meetInMemory(t, open(t, config([]trust.Key{after}, nextCA)), a, alpns[2])
		ended := func(e ends) bool {
			if e.accepted == nil {
				t.Fatal(e.acceptedErr)
			}
			if err := e.accepted.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
				return true
			}
			_, err := e.accepted.Read(make([]byte, 1))
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
		want := func(what string, open int, severed uint64) {
			t.Helper()
			<-time.After(2 * time.Second)
			synctest.Wait()
			if got := a.Counts(); a.Open() != open || got.Severed != severed {
				t.Errorf("%s: %d open, %d closed, want %d and %d", what, a.Open(), got.Severed, open, severed)
			}
		}
		want("at first", 3, 0)
		trusttest.WriteKeys(t, path, after)
		want("without the former key", 2, 1)
		if !ended(old) || ended(renewed) || ended(moved) {
			t.Errorf("ended: %t, %t and %t, want the first alone", ended(old), ended(renewed), ended(moved))
		}
		// The certificate of a is of the CA that is taken away: a renews it, too.
		certPEM, keyPEM, _, err := nextCA.Authority.Issue(id, now, time.Hour)
		for file, text := range map[string][]byte{cert: certPEM, private: keyPEM, both: next} {
			if err := errors.Join(err, os.WriteFile(file, text, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		want("without the former CA", 1, 2)
		if !ended(renewed) || ended(moved) {
			t.Errorf("ended: %t and %t, want the first alone", ended(renewed), ended(moved))
		}
		moved.accepted.Close()
		want("when all are closed", 0, 2)
		cancel()
		wg.Wait()
	})
}

func TestEndOfACertificateIsAnnounced(t *testing.T) {
	ca := trusttest.NewAuthority(t)
	now := time.Now()
	cert, private := ca.Issue(t, trust.Identity{Cluster: "flamingo", Role: trust.RoleNode, Name: "ash"}, now, 7*time.Hour)
	key := trusttest.KeyFile(t, trusttest.NewKey(t))
	for _, tc := range []struct { // it is valid for 8 h, one of them in the past
		left, run time.Duration
		want      int
	}{{2*time.Hour + time.Minute, 50 * time.Second, 0}, {2*time.Hour + time.Minute, 5 * time.Minute, 1}} {
		left, run, want := tc.left, tc.run, tc.want
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			begin := time.Now()
			a := open(t, trust.Config{
				KeyFile: key, Cert: cert, Key: private, CA: ca.File, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Now: func() time.Time { return now.Add(7*time.Hour - left).Add(time.Since(begin)) },
			})
			ctx, cancel := context.WithTimeout(t.Context(), run)
			defer cancel()
			if err := a.Run(ctx, func() {}); err != nil {
				t.Error(err)
			}
			if got := strings.Count(log.String(), "renew it"); got != want {
				t.Errorf("with %v left it is said %d times, want %d", left, got, want)
			}
		})
	}
}

// meetInMemory is meet for a bubble of virtual time.
func meetInMemory(t *testing.T, a, b *trust.Trust, alpn string) ends {
	t.Helper()
	near, far := net.Pipe()
	return meetOver(t, near, far, a, b, alpn)
}
