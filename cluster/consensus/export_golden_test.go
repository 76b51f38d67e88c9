package consensus

import (
	"bytes"
	"io"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// Recode has what decodes the forms that this package reads, by name: each returns the
// bytes that it makes of what it has read.
var Recode = map[string]func([]byte) ([]byte, error){
	"identity": func(b []byte) ([]byte, error) {
		r, err := decodeIdentity(b)
		return r.encode(), err
	},
	"seen": func(b []byte) ([]byte, error) {
		seen, err := decodeSeen(b)
		return encodeSeen(seen), err
	},
	"promises": func(b []byte) ([]byte, error) {
		p, err := decodePromises(b)
		return p.encode(), err
	},
	"entry": func(b []byte) ([]byte, error) {
		var l raft.Log
		err := decodeEntry(7, b, &l)
		return encodeEntry(&l), err
	},
	"hello": func(b []byte) ([]byte, error) {
		h, err := readHello(bytes.NewReader(b))
		return h.encode(), err
	},
	"answer": func(b []byte) ([]byte, error) {
		a, err := readAnswer(bytes.NewReader(b))
		return a.encode(), err
	},
	"snapshot": func(b []byte) ([]byte, error) {
		f := newFSM(idspace.ClusterID{15: 0xc1}, newFault(), func() {})
		if err := f.Restore(io.NopCloser(bytes.NewReader(b))); err != nil {
			return nil, err
		}
		s, err := f.Snapshot()
		if err != nil {
			return nil, err
		}
		return s.(snapshot), nil
	},
	"command": func(b []byte) ([]byte, error) {
		f := newFSM(idspace.ClusterID{15: 0xc1}, newFault(), func() {})
		if _, err := f.apply(&raft.Log{Index: 7, Data: b}); err != nil {
			return nil, err
		}
		if f.founded() {
			return foundingCommand(f.committed), nil
		}
		return registryCommand(idspace.Grant{
			Boot: f.registry.Lives()[0].Boot, Ordinal: 1, Server: f.registry.Lives()[0].Server, Start: f.registry.Lives()[0].Start,
			Tick: idspace.Tick(f.registry.Last()),
		})
	},
}
