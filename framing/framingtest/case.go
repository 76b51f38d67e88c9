package framingtest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"flamingo/framing"
)

// A Case is a codec and what is known of its framing.
type Case struct {
	// Name of the subtest.
	Name string

	// Codec is what is tested.
	Codec framing.Codec

	// Messages are some that Encode accepts, in this order: a few, short, and
	// of different lengths, the empty one and the longest included. At least
	// one is needed.
	Messages [][]byte

	// BadMessages are messages that Encode refuses.
	BadMessages []Refusal

	// BadStreams are beginnings of streams that Decode refuses, from a message
	// boundary on, each ending with the byte that shows the fault. One for
	// framing.ErrTooLarge must be among them, unless NoLimit is set: it ends
	// at the latest with the last byte that a message within the limit, with
	// its framing, could have.
	BadStreams []Refusal

	// NoLimit says that no stream holds too long a message, since there is
	// only one length, or since a message is whatever is there.
	NoLimit bool

	// PassThrough says that Encode adds nothing and refuses nothing, so that
	// the program itself is in charge of the framing. Messages then have
	// theirs with them.
	PassThrough bool

	// Stream says that message boundaries mean nothing: the bytes are
	// compared, not the messages. Stream implies PassThrough and NoLimit.
	Stream bool

	// Seed of the random splits. Zero means a fresh one; failures print it.
	Seed uint64
}

// A Refusal is a message or a stream that must be refused.
type Refusal struct {
	Bytes []byte
	Err   error // matched with errors.Is
}

// Run holds the codec of each case to the contract. Being counted, allocations
// must not happen elsewhere meanwhile: not for use in parallel tests.
func Run(t *testing.T, cases ...Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if err := saysEnough(c); err != nil {
				t.Fatal(err)
			}
			c = c.withDefaults()
			for _, p := range properties {
				t.Run(p.name, func(t *testing.T) {
					if p.counts && raceDetector {
						t.Skip("the race detector allocates")
					}
					if err := p.check(c); err != nil {
						t.Errorf("%v\n(seed %d)", err, c.Seed)
					}
				})
			}
		})
	}
}

// saysEnough returns an error for a case that would pass without testing.
func saysEnough(c Case) error {
	if c.Codec == nil || len(c.Messages) == 0 {
		return errors.New("the case needs a Codec and at least one of Messages")
	}
	tooLarge := func(r Refusal) bool { return errors.Is(r.Err, framing.ErrTooLarge) }
	if !c.NoLimit && !c.Stream && !slices.ContainsFunc(c.BadStreams, tooLarge) {
		return errors.New("the case needs one of BadStreams with ErrTooLarge, or NoLimit")
	}
	return nil
}

func (c Case) withDefaults() Case {
	if c.Stream {
		c.PassThrough, c.NoLimit = true, true
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	return c
}

// A property is one sentence of the contract. check returns nil if it holds.
type property struct {
	name   string
	check  func(Case) error
	counts bool // allocations
}

var properties = []property{
	{name: "decoding reverses encoding", check: decodingReversesEncoding},
	{name: "any split gives the same messages", check: anySplitIsTheSame},
	{name: "streams do not meet", check: streamsDoNotMeet},
	{name: "bad streams are refused in time", check: badStreamsAreRefused},
	{name: "encoding appends a copy", check: encodingAppendsCopy},
	{name: "bad messages are refused", check: badMessagesAreRefused},
	{name: "nothing is allocated", check: nothingIsAllocated, counts: true},
}
