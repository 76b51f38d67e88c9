package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"
)

// keyLen is the length of a key in bytes: AES-256.
const keyLen = 32

// checkKeys returns an error unless keys can encrypt.
func checkKeys(keys [][]byte) error {
	for i, k := range keys {
		if len(k) != keyLen {
			return fmt.Errorf("key %d: %d bytes: want %d", i, len(k), keyLen)
		}
	}
	return nil
}

// newKeyring returns the ring of keys; nil for none, which is clear text.
func newKeyring(keys [][]byte) (*memberlist.Keyring, error) {
	if len(keys) == 0 {
		return nil, nil //nolint:nilnil // memberlist takes none for clear text
	}
	return memberlist.NewKeyring(keys, keys[0])
}

// SetKeys replaces Config.Keys: from now on the first is used and all are
// accepted. The error matches ErrBadConfig, and then the former ones stay; a
// Gossip in clear text stays so.
func (g *Gossip) SetKeys(keys [][]byte) error {
	if g.keyring == nil || len(keys) == 0 {
		return fmt.Errorf("gossip: keys: %w: %d of them: want some, from the start", ErrBadConfig, len(keys))
	}
	if err := checkKeys(keys); err != nil {
		return fmt.Errorf("gossip: keys: %w: %w", ErrBadConfig, err)
	}
	g.keying.Lock()
	defer g.keying.Unlock()
	return arrange(g.keyring, keys)
}

// arrange makes ring hold keys, in their order. memberlist reads the ring at the
// same time, from slices that RemoveKey shifts in place: so a key is removed as
// the last one alone. Moving others before it makes each the one in use for a
// moment, which a rotation in three steps never needs.
func arrange(ring *memberlist.Keyring, keys [][]byte) error {
	var faults []error
	for _, k := range keys {
		faults = append(faults, ring.AddKey(k))
	}
	holds := func(keys [][]byte, k []byte) bool {
		return slices.ContainsFunc(keys, func(other []byte) bool { return bytes.Equal(other, k) })
	}
	faults = append(faults, ring.UseKey(keys[0]))
	inOrder := slices.EqualFunc(ring.GetKeys()[:len(keys)], keys, bytes.Equal)
	for i := len(keys) - 1; i >= 0 && !inOrder; i-- {
		faults = append(faults, ring.UseKey(keys[i]))
	}
	for held := ring.GetKeys(); len(held) > len(keys); held = ring.GetKeys() {
		last := held[len(held)-1]
		if holds(keys, last) { // never: keys stand first
			return errors.Join(append(faults, errors.New("gossip: keys out of order"))...)
		}
		if err := ring.RemoveKey(last); err != nil {
			return errors.Join(append(faults, err)...)
		}
	}
	return errors.Join(faults...)
}
