package chaos

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"

	"flamingo/idspace"
)

// Streams of a sender: what one of them sends to a connection is in order.
const (
	StreamData   = 'd' // SendData and SendMany
	StreamWait   = 'w' // Send, one at a time
	StreamClient = 'c' // from a client; From is zero

	// Publish to a group has a stream for each group: StreamGroup and those behind it.
	StreamGroup    = 'A'
	GroupElsewhere = StreamGroup + groupsHere // joined through another node
	groupsHere     = 3                        // joined through the connection's node, by its serial
)

// GroupOf returns the group that a connection joins through its own node.
func GroupOf(id idspace.ID) byte { return StreamGroup + byte(id.Serial()%groupsHere) }

// isGroup reports whether a stream is what is published to a group.
func isGroup(stream byte) bool { return stream >= StreamGroup && stream <= GroupElsewhere }

// A Message says who sent it, to which connection, and which one it is. To is zero
// if it went to several.
type Message struct {
	To     idspace.ID
	From   idspace.NodeNumber
	Stream byte
	Seq    int // from 1
}

// Append appends the message as a line without its end, filled up to size bytes
// if it is shorter.
func (m Message) Append(b []byte, size int) []byte {
	start := len(b)
	b = fmt.Appendf(b, "%x %x %c %d ", uint64(m.To), uint64(m.From), m.Stream, m.Seq)
	for i := len(b) - start; i < size-8; i++ {
		b = append(b, 'a'+byte((i+m.Seq)%26))
	}
	return fmt.Appendf(append(b, ' '), "%08x", crc32.ChecksumIEEE(b[start:]))
}

// ParseMessage is the inverse of Append. The error quotes the beginning of a line
// that is none, or that is damaged.
func ParseMessage(line []byte) (m Message, err error) {
	bad := func(what string) error { return fmt.Errorf("%s: %d bytes, %.60q", what, len(line), line) }
	end := bytes.LastIndexByte(line, ' ')
	fields := bytes.Split(line[:max(end, 0)], []byte{' '})
	if len(fields) != 5 || len(fields[2]) != 1 {
		return m, bad("not a message")
	}
	sum, err := strconv.ParseUint(string(line[end+1:]), 16, 32)
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(line[:end]) {
		return m, bad("checksum")
	}
	to, err1 := strconv.ParseUint(string(fields[0]), 16, 64)
	from, err2 := strconv.ParseUint(string(fields[1]), 16, 64)
	m.Seq, err = strconv.Atoi(string(fields[3]))
	if err != nil || err1 != nil || err2 != nil {
		return m, bad("not a message")
	}
	m.To, m.From, m.Stream = idspace.ID(to), idspace.NodeNumber(from), fields[2][0]
	return m, nil
}
