package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// certificateCheck is how often the files of a listener are looked at, at most,
// and only while clients come: a renewal has days of time.
const certificateCheck = time.Second

// certificateSettles is the age from which a change of a file is believed to be
// its last one for the time that the file system shows, whose clock has steps.
const certificateSettles = 2 * time.Second

// certificates are what a listener shows its clients. They follow the files.
type certificates struct {
	settings TLS            // immutable
	listener string         // immutable once the listener is open
	log      *slog.Logger   // immutable
	faults   *atomic.Uint64 // immutable; counts changes that could not be used

	current atomic.Pointer[tls.Config]
	busy    atomic.Bool // claimed by who looks at the files; others go on with current

	// Owned by who holds busy.
	checked time.Time   // when the files were looked at
	seen    []fileState // what they were then
	settled bool        // a change would be seen in their states
}

// A fileState tells one state of a file from another. It is nil for a file that
// cannot be looked at.
type fileState os.FileInfo

// openCertificates reads the files of a listener, if it has TLS. The error says
// which cannot be used.
func (t *Transport) openCertificates(l *Listener) (*certificates, error) {
	if l.TLS == nil {
		return nil, nil //nolint:nilnil // a listener without TLS has none
	}
	c := &certificates{settings: *l.TLS, log: t.cfg.Logger, faults: &t.totals.certificateFaults, checked: time.Now()}
	c.seen, c.settled = c.look()
	cfg, err := c.settings.load()
	if err != nil {
		return nil, err
	}
	c.current.Store(cfg)
	return c, nil
}

// config returns what the next handshake is to use. It may read the files.
func (c *certificates) config() *tls.Config {
	if c.busy.CompareAndSwap(false, true) {
		if now := time.Now(); now.Sub(c.checked) >= certificateCheck {
			c.checked = now
			c.check()
		}
		c.busy.Store(false)
	}
	return c.current.Load()
}

// check takes over what has changed, if it can be used.
func (c *certificates) check() {
	states, settled := c.look()
	changed := !sameStates(c.seen, states)
	if !changed && c.settled {
		return
	}
	c.seen, c.settled = states, settled
	cfg, err := c.settings.load()
	switch {
	case err == nil:
		c.current.Store(cfg)
		if changed {
			c.log.Info("certificate read again", "listener", c.listener, "cert", c.settings.Certificate,
				"until", cfg.Certificates[0].Leaf.NotAfter)
		}
	case changed:
		c.faults.Add(1)
		c.log.Error("changed certificate cannot be used; the former one stays", "listener", c.listener, "err", err)
	}
}

// look returns the states of the files, and whether these have stood long enough
// for a further change to be seen.
func (c *certificates) look() (states []fileState, settled bool) {
	settled = true
	for _, path := range []string{c.settings.Certificate, c.settings.Key, c.settings.ClientCA} {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		} else if time.Since(info.ModTime()) < certificateSettles {
			settled = false
		}
		states = append(states, info)
	}
	return states, settled
}

func sameStates(a, b []fileState) bool {
	for k := range a {
		if (a[k] == nil) != (b[k] == nil) {
			return false
		}
		if a[k] != nil && (!os.SameFile(a[k], b[k]) || a[k].Size() != b[k].Size() || !a[k].ModTime().Equal(b[k].ModTime())) {
			return false
		}
	}
	return true
}

// load reads the files.
func (c *TLS) load() (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		// What is written at once goes into as few records as it fits into.
		DynamicRecordSizingDisabled: true,
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("cert %s with key %s: %w", c.Certificate, c.Key, err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	if c.ClientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("client-ca %s: %w", c.ClientCA, err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client-ca %s: %w", c.ClientCA, errNoCertificate)
	}
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	if c.ClientCert == ClientCertOptional {
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return cfg, nil
}

// errNoCertificate: a file holds none.
var errNoCertificate = errors.New("no certificate in PEM form")
