package transport_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"flamingo/transport"
	"flamingo/transport/transporttest"
)

// A keyChanger writes records of TLS 1.3 itself, to do what crypto/tls has no
// call for: to ask for new keys (RFC 8446, 4.6.3).
type keyChanger struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	serial uint64
}

// newKeyChanger goes on where the client whose secrets are in log has got to. It
// has written nothing behind its handshake.
func newKeyChanger(t testing.TB, log string) *keyChanger {
	t.Helper()
	for line := range strings.Lines(log) {
		if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			k := &keyChanger{secret: secret}
			k.derive(t)
			return k
		}
	}
	t.Fatal("the client has told no secret")
	return nil
}

// expand is HKDF-Expand-Label without a context (RFC 8446, 7.1).
func (k *keyChanger) expand(t testing.TB, label string, size int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := append([]byte{0, byte(size), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, k.secret, string(append(info, 0)), size)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (k *keyChanger) derive(t testing.TB) {
	t.Helper()
	block, err := aes.NewCipher(k.expand(t, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	k.iv, k.serial = k.expand(t, "iv", 12), 0
}

// record appends a record of that type to dst.
func (k *keyChanger) record(dst []byte, kind byte, data ...byte) []byte {
	size := len(data) + 1 + 16
	header := []byte{23, 3, 3, byte(size >> 8), byte(size)}
	nonce := bytes.Clone(k.iv)
	for b := range 8 {
		nonce[11-b] ^= byte(k.serial >> (8 * b))
	}
	k.serial++
	return k.aead.Seal(append(dst, header...), nonce, append(data, kind), header)
}

// demand appends a request for new keys, which changes the client's own ones,
// and a byte of data, without which crypto/tls counts the requests.
func (k *keyChanger) demand(t testing.TB, dst []byte) []byte {
	t.Helper()
	const handshake, data, keyUpdate = 22, 23, 24
	dst = k.record(dst, handshake, keyUpdate, 0, 0, 1, 1)
	k.secret = k.expand(t, "traffic upd", 32)
	k.derive(t)
	return k.record(dst, data, 'x')
}

func TestTLSBoundsTheAnswersThatAClientDoesNotRead(t *testing.T) {
	const demands = 30_000 // answers of 800 kB, more than the kernel and we hold
	eachTLS(t, func(c *transport.Config, _ *transporttest.Authority) {
		c.Listeners[0].WriteBuffer = 16 << 10
	}, func(r *tlsRig) {
		log := &strings.Builder{}
		cfg := r.client()
		cfg.KeyLogWriter = log
		c := r.dial(cfg, func(nc net.Conn) net.Conn {
			if err := nc.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
				r.Error(err)
			}
			return nc
		})
		if err := c.Handshake(); err != nil {
			r.Fatal(err)
		}
		if c.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
			r.Skip("this machine prefers a suite that this client does not know")
		}
		id, nc := r.opened().ID(), c.NetConn()
		received := func() uint64 {
			info, err := r.Describe(id)
			if err != nil {
				r.Fatal(err)
			}
			return info.BytesIn
		}
		k := newKeyChanger(r, log.String())
		var demanding, reading sync.WaitGroup
		demanding.Go(func() {
			out := bufio.NewWriterSize(nc, 64<<10)
			for range demands {
				_, _ = out.Write(k.demand(r, nil))
			}
			if err := out.Flush(); err != nil {
				r.Error(err)
			}
		})
		last, same := uint64(0), 0
		eventually(r, "a standstill", func() bool {
			n := received()
			if same++; n != last || transport.Unwritten(r.Transport, id) < 64<<10 {
				last, same = n, 0
			}
			return same == 100
		})
		if n := transport.Unwritten(r.Transport, id); n > 256<<10 {
			r.Errorf("%d bytes wait to be written to a client that does not read; want at most 256 KiB", n)
		}
		if last >= demands {
			r.Errorf("%d of %d demands were read from a client that does not read", last, demands)
		}
		reading.Go(func() { _, _ = io.Copy(io.Discard, nc) })
		eventually(r, "every demand", func() bool { return received() == demands })
		demanding.Wait()
		nc.Close()
		reading.Wait()
	})
}
