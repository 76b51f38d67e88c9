// Package framingtest is the conformance suite of framing.Codec. It holds every
// codec of package framing to the contract, and is meant for a program's own
// codec as well:
//
//	func TestCodec(t *testing.T) {
//		framingtest.Run(t, framingtest.Case{
//			Name:       "chat",
//			Codec:      chat.Codec{},
//			Messages:   [][]byte{{}, []byte("hello")},
//			BadStreams: []framingtest.Refusal{{[]byte{0xff, 0xff}, framing.ErrTooLarge}},
//		})
//	}
//
//	func FuzzCodec(f *testing.F) { framingtest.Fuzz(f, …) }
//
// It is not a test of a protocol: what the messages mean, and which bytes a
// framing has, are said by the messages and streams of the Case.
//
// A codec passes when
//
//   - what Encode accepts, Decode returns unchanged;
//   - the stream gives the same messages and the same error however it is
//     split, and whatever else was decoded in between, before or beside it;
//   - a message is a subslice of the data with capacity equal to its length;
//     nothing is read beyond the data, changed in it, or remembered of it;
//   - a stream is refused with the last byte that is needed to see the fault;
//   - Encode leaves message and destination alone, and copies;
//   - neither allocates. Under the race detector, which allocates itself, this
//     one is skipped.
//
// What the suite cannot see: whether Decode makes use of searched, which is a
// question of speed, and whether Encode refuses messages nobody listed. Fuzz
// looks for the latter.
package framingtest
