package chaos

import (
	"fmt"
	"strconv"
	"strings"

	"flamingo/idspace"
)

// Kind is what a record of a subject is about.
type Kind string

// The records of a subject.
const (
	Number      Kind = "number"      // the life begins: ID holds the number, Word the address for clients
	Opened      Kind = "open"        // a connection
	Data        Kind = "data"        // message Seq of a client; Word says what is wrong with it
	Closed      Kind = "close"       // Word is the reason
	Sent        Kind = "send"        // message Seq of Stream, answered by Word
	Kicked      Kind = "kick"        // SendClose, answered by Word
	Undelivered Kind = "undelivered" // Word is the outcome
	Leads       Kind = "leads"       // this node has become the leader of the voters
	Raced       Kind = "raced"       // a node in the same process was granted the number in ID
	Link        Kind = "link"        // Word is the state of the link to the node with the number in ID
	Stat        Kind = "stat"        // the count Word is Seq
	Watched     Kind = "watch"       // a watch begins; Word is empty or what went wrong
	Noticed     Kind = "notice"      // the watch says Word: a state, the reason of WatchClosed behind it, or NoticeEnd
	Joined      Kind = "join"        // the connection joined the group Stream, answered by Word
	Published   Kind = "publish"     // message Seq to the group Stream; Word names the nodes that failed: Failures
	Reborn      Kind = "reborn"      // the node goes on with the number in ID, as the one before was retired
	Intruded    Kind = "intruded"    // a stranger was granted the number in ID; Word is the key it had
	Retired     Kind = "retired"     // this node has retired the number in ID
	Answered    Kind = "answer"      // the order Seq is carried out; Word is empty or what went wrong
)

// A Record is a line that a subject prints: what happened, between which two
// times. Times are nanoseconds of the system's monotonic clock, one for all
// processes.
type Record struct {
	Kind       Kind
	Begin, End int64
	ID         idspace.ID
	Stream     byte // '-' for none
	Seq        int
	Word       string // without spaces; an outcome is one of those below
}

// Outcomes.
const (
	Accepted     = "accepted"
	Written      = "written"
	Gone         = "gone"
	NeverIssued  = "never-issued"
	Unreachable  = "unreachable"
	Backpressure = "backpressure"
	Expired      = "expired"
	Uncertain    = "uncertain"
	ShutDown     = "closed"
)

// Append appends the record as a line.
func (r Record) Append(b []byte) []byte {
	if r.Stream == 0 {
		r.Stream = '-'
	}
	word := spaces.Replace(r.Word)
	return fmt.Appendf(b, "%s %d %d %x %c %d %s.\n", r.Kind, r.Begin, r.End, uint64(r.ID), r.Stream, r.Seq, word)
}

var spaces = strings.NewReplacer(" ", "_", "\n", "_", "\t", "_")

// ParseRecord is the inverse of Append, for a line without its end.
func ParseRecord(line string) (r Record, err error) {
	f := strings.Split(line, " ")
	if len(f) != 7 || len(f[4]) != 1 || !strings.HasSuffix(f[6], ".") {
		return r, fmt.Errorf("not a record: %.100q", line)
	}
	r.Kind, r.Stream, r.Word = Kind(f[0]), f[4][0], strings.TrimSuffix(f[6], ".")
	var errs [4]error
	var id uint64
	r.Begin, errs[0] = strconv.ParseInt(f[1], 10, 64)
	r.End, errs[1] = strconv.ParseInt(f[2], 10, 64)
	id, errs[2] = strconv.ParseUint(f[3], 16, 64)
	r.Seq, errs[3] = strconv.Atoi(f[5])
	for _, e := range errs {
		if e != nil {
			return r, fmt.Errorf("not a record: %.100q: %w", line, e)
		}
	}
	r.ID = idspace.ID(id)
	return r, nil
}
