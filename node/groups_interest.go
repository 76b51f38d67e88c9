package node

import (
	"hash/fnv"
	"maps"
	"slices"
	"sync"
)

// A nameHash stands for a group in what nodes tell each other: 64-bit FNV-1a of
// its name. Two groups of one hash cost a message that finds no member, no more.
type nameHash uint64

func hashOf(name string) nameHash {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return nameHash(h.Sum64())
}

// mixed spreads a hash over all bits, for sums by which two sets are compared
// (the finalizer of MurmurHash3).
func (h nameHash) mixed() uint64 {
	x := uint64(h)
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// A change says that there are members of a group from one version on, or none.
type change struct {
	hash  nameHash
	added bool
	sum   uint64 // of the set after it
}

// changeLog is how many changes are remembered: 192 KiB. A node that knows an
// older version is told everything.
const changeLog = 8192

// interests are the groups that have members on this node, as other nodes are to
// know them: a set that has a version and a sum. Each change makes the next
// version.
type interests struct {
	mu      sync.Mutex
	groups  map[nameHash]int32 // guarded by mu, as all: how many groups of that hash
	version uint64             // from 1 on: 0 is what nobody has told
	sum     uint64             // of the set: the mixed hashes, each once, by XOR
	log     []change           // the newest, oldest first; the last one made version
	told    chan struct{}      // a token when there is something new; never closed
}

func newInterests() *interests {
	return &interests{groups: make(map[nameHash]int32), version: 1, told: make(chan struct{}, 1)}
}

// set notes that a group has members, or has none any more: in turns.
func (in *interests) set(name string, has bool) {
	h := hashOf(name)
	in.mu.Lock()
	n := in.groups[h]
	if has {
		n++
	} else {
		n--
	}
	if n == 0 {
		delete(in.groups, h)
	} else {
		in.groups[h] = n
	}
	news := n == 0 || has && n == 1
	if news {
		in.version++
		in.sum ^= h.mixed()
		if len(in.log) == 2*changeLog { // moved once in a while, not each time
			in.log = append(in.log[:0], in.log[changeLog:]...)
		}
		in.log = append(in.log, change{h, has, in.sum})
	}
	in.mu.Unlock()
	if news {
		in.wake()
	}
}

func (in *interests) wake() {
	select {
	case in.told <- struct{}{}:
	default:
	}
}

func (in *interests) current() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.version
}

// since returns up to limit changes after a version, with the version and the sum
// that they lead to. ok is false if they are not remembered.
func (in *interests) since(version uint64, limit int) (changes []change, to, sum uint64, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if version == 0 || version > in.version || in.version-version > uint64(min(len(in.log), changeLog)) {
		return nil, 0, 0, false
	}
	missing := int(in.version - version)
	changes = slices.Clone(in.log[len(in.log)-missing:][:min(missing, limit)])
	to = version + uint64(len(changes))
	if len(changes) == 0 {
		return nil, to, in.sum, true
	}
	return changes, to, changes[len(changes)-1].sum, true
}

// all returns the whole set.
func (in *interests) all() (hashes []nameHash, version, sum uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Collect(maps.Keys(in.groups)), in.version, in.sum
}
