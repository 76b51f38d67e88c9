package consensus

// maxSeen bounds the servers whose boots are remembered: far more than are
// voters at once. Over it the one heard of least recently is forgotten.
const maxSeen = 256

// The record of the boots seen, least recent first:
//
//	version { server:16 start:8 boot:16 } …
const seenVersion = 1

func decodeSeen(b []byte) ([]Identity, error) {
	if b == nil {
		return nil, nil
	}
	if len(b) == 0 || b[0] != seenVersion || (len(b)-1)%lifeLen != 0 {
		return nil, misread("boots seen", b)
	}
	var seen []Identity
	for in := (reader{b: b[1:]}); len(in.b) > 0; {
		seen = append(seen, in.identity())
	}
	return seen, nil
}

func encodeSeen(seen []Identity) []byte {
	w := make(writer, 0, 1+len(seen)*lifeLen)
	w.byte(seenVersion)
	for _, id := range seen {
		w.identity(id)
	}
	return w
}

// judge compares a boot with the highest of its server.
func judge(seen []Identity, peer Identity) (r Refusal, at int) {
	for i, id := range seen {
		switch {
		case id.Server != peer.Server:
			continue
		case peer.Start < id.Start:
			return RefusedStale, i
		case peer.Start == id.Start && peer.Boot != id.Boot:
			return RefusedTwin, i
		}
		return Accepted, i
	}
	return Accepted, -1
}

// admit remembers peer as the highest boot of its server, durably on return,
// or says why it is none.
func (s *Store) admit(peer Identity) (Refusal, error) {
	// Nearly every stream is of a boot already seen, which needs no write.
	val, err := s.records.load(recordSeen)
	if err != nil {
		return RefusedClosed, err
	}
	seen, err := decodeSeen(val)
	if err != nil {
		return RefusedClosed, err
	}
	if r, at := judge(seen, peer); r != Accepted || at >= 0 && seen[at] == peer {
		return r, nil
	}
	verdict := Accepted
	err = s.records.change(recordSeen, func(old []byte) ([]byte, error) {
		seen, err := decodeSeen(old)
		if err != nil {
			return nil, err
		}
		r, at := judge(seen, peer)
		verdict = r
		if r != Accepted {
			return nil, nil
		}
		switch {
		case at >= 0:
			seen = append(seen[:at], seen[at+1:]...)
		case len(seen) >= maxSeen:
			seen = seen[1:]
		}
		return encodeSeen(append(seen, peer)), nil
	})
	if err != nil {
		return RefusedClosed, err
	}
	return verdict, nil
}
