package node

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The requests about groups are fixed layouts, integers big-endian, and docs/protocol.md
// has them in words:
//
//	tie        what:1 id:8 n:1 name:n value
//	  answer   code:1 version:8, to tieGroups then n:1 name:n for each group
//	members    after:8 limit:2 name
//	  answer   total:8 more:1 id:8 for each member
//	groups     limit:2 name
//	  answer   more:1 n:1 name:n members:4 for each group
//	interests  whole:1 last:1 have:8 from:8 to:8 sum:8 (added:1 hash:8 for each)
//	  answer   version:8

// errBadRequest: a peer does not keep to the layout of a request or an answer.
var errBadRequest = errors.New("bad request about groups")

// A tieWhat says what a tie request does. Append only.
type tieWhat uint8

const (
	tieJoin   tieWhat = 1
	tieLeave  tieWhat = 2
	tieGroups tieWhat = 3 // asks
	tieMeta   tieWhat = 4
)

// A tie is something that a connection is to have, or has.
type tie struct {
	what  tieWhat
	id    ID
	name  string // of a group, or a key of metadata
	value string // of metadata
}

func (t tie) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{byte(t.what)}, uint64(t.id))
	return append(append(b, byte(len(t.name))), t.name+t.value...)
}

func decodeTie(b []byte) (t tie, err error) {
	const head = 1 + 8 + 1
	if len(b) < head || len(b) < head+int(b[9]) {
		return t, errBadRequest
	}
	n := head + int(b[9])
	t = tie{tieWhat(b[0]), ID(binary.BigEndian.Uint64(b[1:])), string(b[head:n]), string(b[n:])}
	if t.what < tieJoin || t.what > tieMeta {
		return t, errBadRequest
	}
	return t, nil
}

// Codes of answers to ties that are no outcomes of sends.
const (
	codeLimit    = 100
	codeBadGroup = 101
)

// A tied is the answer to a tie.
type tied struct {
	code    byte
	version uint64   // of the interests, by which the others learn of it
	groups  []string // to tieGroups
}

func (t tied) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{t.code}, t.version)
	for _, name := range t.groups {
		b = append(append(b, byte(len(name))), name...)
	}
	return b
}

func decodeTied(b []byte) (t tied, err error) {
	const head = 1 + 8
	if len(b) < head {
		return t, errBadRequest
	}
	t.code, t.version = b[0], binary.BigEndian.Uint64(b[1:])
	for b = b[head:]; len(b) > 0; {
		var name string
		if name, b, err = cutName(b); err != nil {
			return t, err
		}
		t.groups = append(t.groups, name)
	}
	return t, nil
}

// cutName takes a name with its length in front.
func cutName(b []byte) (name string, rest []byte, err error) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return "", nil, errBadRequest
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], nil
}

// maxPage is how many members or groups one page has at most.
const maxPage = 1000

// A membersRequest asks for a page of the members of a group. With limit 0 only
// their number is wanted.
type membersRequest struct {
	after ID
	limit int
	name  string
}

func (q membersRequest) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(q.after))
	return append(binary.BigEndian.AppendUint16(b, uint16(q.limit)), q.name...)
}

func decodeMembersRequest(b []byte) (q membersRequest, err error) {
	const head = 8 + 2
	if len(b) < head {
		return q, errBadRequest
	}
	q = membersRequest{ID(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint16(b[8:])), string(b[head:])}
	if q.limit > maxPage || checkGroup(q.name) != nil {
		return q, errBadRequest
	}
	return q, nil
}

// A membersPage is the answer.
type membersPage struct {
	total int
	more  bool
	ids   []ID
}

func (p membersPage) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.total))
	b = append(b, boolByte(p.more))
	for _, id := range p.ids {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	return b
}

func decodeMembersPage(b []byte) (p membersPage, err error) {
	const head = 8 + 1
	if len(b) < head || (len(b)-head)%8 != 0 || len(b) > head+8*maxPage {
		return p, errBadRequest
	}
	p.total, p.more = int(binary.BigEndian.Uint64(b)&(1<<62-1)), b[8] == 1
	for b = b[head:]; len(b) > 0; b = b[8:] {
		p.ids = append(p.ids, ID(binary.BigEndian.Uint64(b)))
	}
	return p, nil
}

// groupsPerAnswer is how many groups one answer has at most: with the longest
// names they fit into 64 KiB.
const groupsPerAnswer = 400

func encodeGroupsRequest(after string, limit int) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(limit)), after...)
}

func decodeGroupsRequest(b []byte) (after string, limit int, err error) {
	if len(b) < 2 {
		return "", 0, errBadRequest
	}
	after, limit = string(b[2:]), int(binary.BigEndian.Uint16(b))
	if limit == 0 || limit > groupsPerAnswer || after != "" && checkGroup(after) != nil {
		return "", 0, errBadRequest
	}
	return after, limit, nil
}

func encodeGroupSizes(groups []GroupSize, more bool) []byte {
	b := []byte{boolByte(more)}
	for _, g := range groups {
		b = append(append(b, byte(len(g.Name))), g.Name...)
		b = binary.BigEndian.AppendUint32(b, uint32(g.Members))
	}
	return b
}

func decodeGroupSizes(b []byte) (groups []GroupSize, more bool, err error) {
	if len(b) < 1 {
		return nil, false, errBadRequest
	}
	more = b[0] == 1
	for b = b[1:]; len(b) > 0; b = b[4:] {
		var g GroupSize
		if g.Name, b, err = cutName(b); err != nil || len(b) < 4 {
			return nil, false, errBadRequest
		}
		g.Members = int(binary.BigEndian.Uint32(b))
		groups = append(groups, g)
	}
	return groups, more, nil
}

// An announcement tells a peer which groups have members: what has changed from
// one version to another, or everything, page by page.
type announcement struct {
	whole   bool
	last    bool   // whole: of its pages
	have    uint64 // the version that the teller knows of the groups of who is told
	from    uint64 // else the version that it changes
	page    uint64 // whole: counts from 0
	to      uint64
	sum     uint64
	changes []change // of everything each is added
}

const (
	announcementHead = 1 + 1 + 8 + 8 + 8 + 8
	changeLen        = 1 + 8

	// changesPerAnnouncement is how many fit into a request of 64 KiB.
	changesPerAnnouncement = 7000
)

func (a announcement) encode() []byte {
	b := make([]byte, 0, announcementHead+changeLen*len(a.changes))
	b = append(b, boolByte(a.whole), boolByte(a.last))
	base := a.from
	if a.whole {
		base = a.page
	}
	b = binary.BigEndian.AppendUint64(b, a.have)
	b = binary.BigEndian.AppendUint64(b, base)
	b = binary.BigEndian.AppendUint64(b, a.to)
	b = binary.BigEndian.AppendUint64(b, a.sum)
	for _, c := range a.changes {
		b = binary.BigEndian.AppendUint64(append(b, boolByte(c.added)), uint64(c.hash))
	}
	return b
}

func decodeAnnouncement(b []byte) (a announcement, err error) {
	if len(b) < announcementHead || (len(b)-announcementHead)%changeLen != 0 {
		return a, fmt.Errorf("%w: %d bytes", errBadAnnouncement, len(b))
	}
	base := binary.BigEndian.Uint64(b[10:])
	a = announcement{
		whole: b[0] == 1, last: b[1] == 1, have: binary.BigEndian.Uint64(b[2:]), from: base, page: base,
		to: binary.BigEndian.Uint64(b[18:]), sum: binary.BigEndian.Uint64(b[26:]),
	}
	for b = b[announcementHead:]; len(b) > 0; b = b[changeLen:] {
		a.changes = append(a.changes, change{hash: nameHash(binary.BigEndian.Uint64(b[1:])), added: b[0] == 1})
	}
	return a, nil
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}
