package websocket_test

import (
	"fmt"
	"strings"

	"flamingo/transport/websocket"
)

// A streamCase says what a Decoder makes of a stream. Its name begins with the
// section of RFC 6455 that it follows from.
type streamCase struct {
	name   string
	stream []byte
	want   string
}

// The limits of the cases, in bytes.
const (
	caseLimit = 70_000 // of most cases
	lowLimit  = 100    // of limitCases
)

// ends of transcripts.
const (
	failRSV      = "fail 1002 reserved bit without an extension"
	failOpcode   = "fail 1002 reserved opcode"
	failFragment = "fail 1002 control frame in fragments"
	failCont     = "fail 1002 continuation without a message"
	failNested   = "fail 1002 message within a message"
	failUnmasked = "fail 1002 frame without a mask"
	failControl  = "fail 1002 control frame over 125 bytes"
	failHalfCode = "fail 1002 close frame with half a code"
	failTopBit   = "fail 1002 length of 2^63 or more"
	failLength   = "fail 1002 length in more bytes than it needs"
	failCode     = "fail 1002 close frame with a code that must not be sent"
	failText     = "fail 1007 text is not UTF-8"
	failReason   = "fail 1007 reason of a close is not UTF-8"
	failTooBig   = "fail 1009 message over the limit of 100 bytes"
	waits        = "..."
)

// headerCases are those of §5.1 to §5.3.
func headerCases() []streamCase {
	hello := masked(fin|text, "Hello")
	return []streamCase{
		{"5.1: nothing", nil, ""},
		{"5.1: a frame that is masked", hello, `text "Hello"`},
		{"5.1: a frame that is not masked", []byte{fin | text, 5, 'H', 'e', 'l', 'l', 'o'}, failUnmasked},
		{"5.1: an empty frame that is not masked", []byte{fin | text, 0}, failUnmasked},
		{"5.1: a ping that is not masked", []byte{fin | ping, 0}, failUnmasked},
		{"5.1: a close that is not masked", []byte{fin | cls, 2, 0x03, 0xE8}, failUnmasked},
		{"5.1: an unmasked frame of 16 bits shows at its second byte", []byte{fin | bin, 126}, failUnmasked},
		{"5.1: an unmasked frame of 64 bits shows at its second byte", []byte{fin | bin, 127}, failUnmasked},
		{"5.1: an unmasked frame after a good one", join(hello, []byte{fin | text, 0}), `text "Hello", ` + failUnmasked},
		{"5.1: an unmasked continuation", join(masked(text, "a"), []byte{fin | cont, 0}), failUnmasked},
		{"5.1: a key of zeros", []byte{fin | text, 0x82, 0, 0, 0, 0, 'o', 'k'}, `text "ok"`},
		{"5.1: a key of its own for each frame", join(hello, []byte{fin | text, 0x82, 1, 2, 3, 4, 'o' ^ 1, 'k' ^ 2}), `text "Hello", text "ok"`},

		{"5.2: the first byte alone", []byte{fin | text}, waits},
		{"5.2: two bytes of a header", hello[:2], waits},
		{"5.2: a header without its key", hello[:5], waits},
		{"5.2: a header without its payload", hello[:6], waits},
		{"5.2: all but the last byte", hello[:len(hello)-1], waits},
		{"5.2: a frame and the first byte of the next", join(hello, []byte{fin | text}), `text "Hello", ` + waits},
		{"5.2: RSV1", masked(fin|rsv1|text, "x"), failRSV},
		{"5.2: RSV2", masked(fin|rsv2|text, "x"), failRSV},
		{"5.2: RSV3", masked(fin|rsv3|text, "x"), failRSV},
		{"5.2: RSV1 and RSV2", masked(fin|rsv1|rsv2|bin, "x"), failRSV},
		{"5.2: RSV1 and RSV3", masked(fin|rsv1|rsv3|bin, "x"), failRSV},
		{"5.2: RSV2 and RSV3", masked(fin|rsv2|rsv3|bin, "x"), failRSV},
		{"5.2: all reserved bits", masked(fin|rsv1|rsv2|rsv3|bin, "x"), failRSV},
		{"5.2: RSV1 on an empty message", masked(fin|rsv1|text, ""), failRSV},
		{"5.2: RSV1 without FIN", masked(rsv1|text, "x"), failRSV},
		{"5.2: RSV1 on a ping", masked(fin|rsv1|ping, ""), failRSV},
		{"5.2: RSV2 on a pong", masked(fin|rsv2|pong, ""), failRSV},
		{"5.2: RSV3 on a close", masked(fin|rsv3|cls, ""), failRSV},
		{"5.2: RSV1 on a continuation", join(masked(text, "a"), masked(fin|rsv1|cont, "b")), failRSV},
		{"5.2: a reserved bit shows at its first byte", []byte{rsv1}, failRSV},
		{"5.2: a reserved bit after a good message", join(hello, []byte{fin | rsv2 | text}), `text "Hello", ` + failRSV},
		{"5.2: opcode 3", masked(fin|0x3, ""), failOpcode},
		{"5.2: opcode 4", masked(fin|0x4, "x"), failOpcode},
		{"5.2: opcode 5", masked(fin|0x5, ""), failOpcode},
		{"5.2: opcode 6", masked(fin|0x6, "x"), failOpcode},
		{"5.2: opcode 7", masked(fin|0x7, ""), failOpcode},
		{"5.2: opcode 11", masked(fin|0xB, ""), failOpcode},
		{"5.2: opcode 12", masked(fin|0xC, "x"), failOpcode},
		{"5.2: opcode 13", masked(fin|0xD, ""), failOpcode},
		{"5.2: opcode 14", masked(fin|0xE, "x"), failOpcode},
		{"5.2: opcode 15", masked(fin|0xF, ""), failOpcode},
		{"5.2: opcode 3 without FIN", masked(0x3, ""), failOpcode},
		{"5.2: opcode 11 without FIN", masked(0xB, ""), failOpcode},
		{"5.2: opcode 5 after a good message", join(hello, masked(fin|0x5, "")), `text "Hello", ` + failOpcode},
		{"5.2: opcode 4 within a message", join(masked(text, "a"), masked(fin|0x4, "")), failOpcode},
		{"5.2: a reserved opcode shows at its first byte", []byte{fin | 0x3}, failOpcode},
		{"5.2: a reserved bit comes before a reserved opcode", []byte{fin | rsv1 | 0x3}, failRSV},
		{"5.2: text of 0 bytes", masked(fin|text, ""), `text ""`},
		{"5.2: text of 1 byte", masked(fin|text, "x"), `text "x"`},
		{"5.2: text of 125 bytes", masked(fin|text, xs(125)), "text 125 x"},
		{"5.2: text of 126 bytes", masked(fin|text, xs(126)), "text 126 x"},
		{"5.2: text of 127 bytes", masked(fin|text, xs(127)), "text 127 x"},
		{"5.2: text of 128 bytes", masked(fin|text, xs(128)), "text 128 x"},
		{"5.2: text of 65535 bytes", masked(fin|text, xs(65535)), "text 65535 x"},
		{"5.2: text of 65536 bytes", masked(fin|text, xs(65536)), "text 65536 x"},
		{"5.2: binary of 0 bytes", masked(fin|bin, ""), `binary ""`},
		{"5.2: binary of 125 bytes", masked(fin|bin, xs(125)), "binary 125 x"},
		{"5.2: binary of 126 bytes", masked(fin|bin, xs(126)), "binary 126 x"},
		{"5.2: binary of 65535 bytes", masked(fin|bin, xs(65535)), "binary 65535 x"},
		{"5.2: binary of 65537 bytes", masked(fin|bin, xs(65537)), "binary 65537 x"},
		{"5.2: 0 in 16 bits", announced16(0), failLength},
		{"5.2: 125 in 16 bits", announced16(125), failLength},
		{"5.2: 126 in 16 bits", announced16(126), waits},
		{"5.2: 0 in 64 bits", announced64(fin|bin, 0), failLength},
		{"5.2: 125 in 64 bits", announced64(fin|bin, 125), failLength},
		{"5.2: 126 in 64 bits", announced64(fin|bin, 126), failLength},
		{"5.2: 65535 in 64 bits", announced64(fin|bin, 65535), failLength},
		{"5.2: 65536 in 64 bits", announced64(fin|bin, 65536), waits},
		{"5.2: a long length shows before its key", announced16(125)[:4], failLength},
		{"5.2: 2^63", announced64(fin|bin, 1<<63), failTopBit},
		{"5.2: 2^64-1", announced64(fin|bin, 1<<64-1), failTopBit},
		{"5.2: half of a length of 16 bits", announced16(126)[:3], waits},
		{"5.2: half of a length of 64 bits", announced64(fin|bin, 1<<63)[:9], waits},

		{"5.3: binary of every byte", masked(fin|bin, allBytes()), fmt.Sprintf("binary %q", allBytes())},
		{"5.3: the key starts anew in each fragment", join(masked(text, "abc"), masked(cont, "de"), masked(fin|cont, "fgh")), `text "abcdefgh"`},
	}
}

// fragmentCases are those of §5.4.
func fragmentCases() []streamCase {
	hello := masked(fin|text, "Hello")
	return []streamCase{
		{"5.4: one fragment and an empty end", join(masked(text, "Hello"), masked(fin|cont, "")), `text "Hello"`},
		{"5.4: two fragments", join(masked(text, "Hel"), masked(fin|cont, "lo")), `text "Hello"`},
		{"5.4: two fragments of binary", join(masked(bin, "\x00\xff"), masked(fin|cont, "\xfe")), `binary "\x00\xff\xfe"`},
		{"5.4: five fragments", join(masked(text, "H"), masked(cont, "e"), masked(cont, "l"), masked(cont, "l"), masked(fin|cont, "o")), `text "Hello"`},
		{"5.4: an empty beginning", join(masked(text, ""), masked(fin|cont, "Hello")), `text "Hello"`},
		{"5.4: an empty middle", join(masked(text, "Hel"), masked(cont, ""), masked(fin|cont, "lo")), `text "Hello"`},
		{"5.4: nothing but empty fragments", join(masked(text, ""), masked(cont, ""), masked(fin|cont, "")), `text ""`},
		{"5.4: nothing but empty fragments of binary", join(masked(bin, ""), masked(cont, ""), masked(fin|cont, "")), `binary ""`},
		{"5.4: a thousand empty fragments", join(masked(text, "a"), []byte(strings.Repeat(string(masked(cont, "")), 1000)), masked(fin|cont, "b")), `text "ab"`},
		{"5.4: a thousand fragments of a byte", join(masked(bin, ""), []byte(strings.Repeat(string(masked(cont, "x")), 1000)), masked(fin|cont, "")), "binary 1000 x"},
		{"5.4: long fragments", join(masked(bin, xs(30_000)), masked(cont, xs(200)), masked(fin|cont, xs(30_000))), "binary 60200 x"},
		{"5.4: a message without end", masked(text, "Hello"), waits},
		{"5.4: an empty message without end", masked(text, ""), waits},
		{"5.4: two fragments without end", join(masked(text, "Hel"), masked(cont, "lo")), waits},
		{"5.4: one message after another in fragments", join(masked(text, "a"), masked(fin|cont, "b"), masked(bin, "c"), masked(fin|cont, "d")), `text "ab", binary "cd"`},
		{"5.4: a whole message after one in fragments", join(masked(text, "a"), masked(fin|cont, "b"), hello), `text "ab", text "Hello"`},
		{"5.4: fragments after a whole message", join(hello, masked(text, "a"), masked(fin|cont, "b")), `text "Hello", text "ab"`},
		{"5.4: a continuation of nothing", masked(cont, "x"), failCont},
		{"5.4: an end of nothing", masked(fin|cont, "x"), failCont},
		{"5.4: an empty end of nothing", masked(fin|cont, ""), failCont},
		{"5.4: a continuation after a whole message", join(hello, masked(fin|cont, "x")), `text "Hello", ` + failCont},
		{"5.4: a continuation after the end", join(masked(text, "a"), masked(fin|cont, "b"), masked(cont, "c")), `text "ab", ` + failCont},
		{"5.4: a continuation after a ping", join(masked(fin|ping, ""), masked(fin|cont, "b")), `ping "", ` + failCont},
		{"5.4: text within text", join(masked(text, "a"), masked(fin|text, "b")), failNested},
		{"5.4: binary within text", join(masked(text, "a"), masked(fin|bin, "b")), failNested},
		{"5.4: text within binary", join(masked(bin, "a"), masked(text, "b")), failNested},
		{"5.4: text within an empty beginning", join(masked(text, ""), masked(text, "")), failNested},
		{"5.4: text after two fragments", join(masked(text, "a"), masked(cont, "b"), masked(fin|text, "c")), failNested},
		{"5.4: a message within shows at its first byte", join(masked(text, "a"), []byte{fin | text}), failNested},
		{"5.4: a ping in between", join(masked(text, "Hel"), masked(fin|ping, "p"), masked(fin|cont, "lo")), `ping "p", text "Hello"`},
		{"5.4: a pong in between", join(masked(text, "Hel"), masked(fin|pong, "p"), masked(fin|cont, "lo")), `pong "p", text "Hello"`},
		{"5.4: an empty ping in between", join(masked(bin, "Hel"), masked(fin|ping, ""), masked(fin|cont, "lo")), `ping "", binary "Hello"`},
		{"5.4: a ping of 125 bytes in between", join(masked(bin, "Hel"), masked(fin|ping, xs(125)), masked(fin|cont, "lo")), `ping 125 x, binary "Hello"`},
		{"5.4: pings between all fragments", join(masked(text, "a"), masked(fin|ping, "1"), masked(cont, "b"), masked(fin|ping, "2"), masked(fin|cont, "c")), `ping "1", ping "2", text "abc"`},
		{"5.4: two pings in between", join(masked(text, "a"), masked(fin|ping, "1"), masked(fin|ping, "2"), masked(fin|cont, "b")), `ping "1", ping "2", text "ab"`},
		{"5.4: a ping after an empty beginning", join(masked(text, ""), masked(fin|ping, "1"), masked(fin|cont, "b")), `ping "1", text "b"`},
		{"5.4: a ping in between and no end", join(masked(text, "a"), masked(fin|ping, "1")), `ping "1", ` + waits},
		{"5.4: a close in between", join(masked(text, "a"), closing(1000, ""), masked(fin|cont, "b")), `close 1000 ""`},
	}
}

// controlCases are those of §5.5 to §5.7.
func controlCases() []streamCase {
	hello := masked(fin|text, "Hello")
	return []streamCase{
		{"5.5: a ping of 126 bytes", masked(fin|ping, xs(126)), failControl},
		{"5.5: a pong of 126 bytes", masked(fin|pong, xs(126)), failControl},
		{"5.5: a close of 126 bytes", masked(fin|cls, "\x03\xe8"+xs(124)), failControl},
		{"5.5: a ping in 64 bits", announced64(fin|ping, 65536), failControl},
		{"5.5: a long ping shows at its second byte", []byte{fin | ping, 0xFE}, failControl},
		{"5.5: a long ping within a message", join(masked(text, "a"), masked(fin|ping, xs(126))), failControl},
		{"5.5: no mask comes before a long ping", []byte{fin | ping, 0x7E}, failUnmasked},
		{"5.5: a ping in fragments", join(masked(ping, "a"), masked(fin|cont, "b")), failFragment},
		{"5.5: a pong in fragments", masked(pong, ""), failFragment},
		{"5.5: a close in fragments", masked(cls, "\x03\xe8"), failFragment},
		{"5.5: a ping in fragments shows at its first byte", []byte{ping}, failFragment},
		{"5.5: a ping in fragments within a message", join(masked(text, "a"), masked(ping, "")), failFragment},

		{"5.5.1: a close without a code", masked(fin|cls, ""), `close 1005 ""`},
		{"5.5.1: half a code", masked(fin|cls, "\x03"), failHalfCode},
		{"5.5.1: half a code shows at its second byte", []byte{fin | cls, 0x81}, failHalfCode},
		{"5.5.1: a code", closing(1000, ""), `close 1000 ""`},
		{"5.5.1: a code and a reason", closing(1001, "bye"), `close 1001 "bye"`},
		{"5.5.1: a reason of 123 bytes", closing(1000, xs(123)), "close 1000 123 x"},
		{"5.5.1: a close that is not all there", closing(1000, "bye")[:9], waits},
		{"5.5.1: a message after the close", join(closing(1000, ""), hello), `close 1000 ""`},
		{"5.5.1: a ping after the close", join(closing(1000, ""), masked(fin|ping, "")), `close 1000 ""`},
		{"5.5.1: a close after the close", join(closing(1000, ""), closing(1001, "")), `close 1000 ""`},
		{"5.5.1: a fault after the close", join(closing(1000, ""), []byte{0xFF, 0xFF, 0xFF}), `close 1000 ""`},
		{"5.5.1: half a frame after the close", join(closing(1000, ""), hello[:3]), `close 1000 ""`},
		{"5.5.1: a message before the close", join(hello, closing(1000, "")), `text "Hello", close 1000 ""`},

		{"5.5.2: an empty ping", masked(fin|ping, ""), `ping ""`},
		{"5.5.2: a ping with data", masked(fin|ping, "Hello"), `ping "Hello"`},
		{"5.5.2: a ping that is not UTF-8", masked(fin|ping, "\x00\xff\xfe"), `ping "\x00\xff\xfe"`},
		{"5.5.2: a ping of 125 bytes", masked(fin|ping, xs(125)), "ping 125 x"},
		{"5.5.2: ten pings", []byte(strings.Repeat(string(masked(fin|ping, "p")), 10)), strings.Repeat(`ping "p", `, 9) + `ping "p"`},
		{"5.5.2: a ping that is not all there", masked(fin|ping, "Hello")[:8], waits},
		{"5.5.2: pings around a message", join(masked(fin|ping, "1"), hello, masked(fin|ping, "2")), `ping "1", text "Hello", ping "2"`},

		{"5.5.3: a pong nobody asked for", masked(fin|pong, ""), `pong ""`},
		{"5.5.3: a pong with data", masked(fin|pong, "Hello"), `pong "Hello"`},
		{"5.5.3: a pong of 125 bytes", masked(fin|pong, xs(125)), "pong 125 x"},
		{"5.5.3: pongs and pings", join(masked(fin|pong, "1"), masked(fin|ping, "2"), masked(fin|pong, "3")), `pong "1", ping "2", pong "3"`},

		{"5.6: text and binary in turn", join(hello, masked(fin|bin, "b"), hello), `text "Hello", binary "b", text "Hello"`},
		{"5.6: a hundred messages", []byte(strings.Repeat(string(masked(fin|bin, "m")), 100)), strings.Repeat(`binary "m", `, 99) + `binary "m"`},

		{"5.7: the masked text of the RFC", []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, `text "Hello"`},
		{"5.7: the masked pong of the RFC", []byte{0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}, `pong "Hello"`},
		{"5.7: the unmasked text of the RFC", []byte{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}, failUnmasked},
	}
}

// allBytes has each byte once.
func allBytes() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// closeCases are those of §7.
func closeCases() []streamCase {
	var cases []streamCase
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011} {
		cases = append(cases, streamCase{fmt.Sprintf("7.4.1: %d", code), closing(code, "why"), fmt.Sprintf(`close %d "why"`, code)})
	}
	for _, code := range []int{1012, 1013, 1014} {
		cases = append(cases, streamCase{fmt.Sprintf("7.4.1: %d, registered since", code), closing(code, ""), fmt.Sprintf(`close %d ""`, code)})
	}
	for _, code := range []int{1004, 1005, 1006, 1015} {
		cases = append(cases, streamCase{fmt.Sprintf("7.4.1: %d is never sent", code), closing(code, "why"), failCode})
	}
	for _, code := range []int{0, 1, 999} {
		cases = append(cases, streamCase{fmt.Sprintf("7.4.2: %d is not used", code), closing(code, ""), failCode})
	}
	for _, code := range []int{1016, 1100, 1999, 2000, 2999} {
		cases = append(cases, streamCase{fmt.Sprintf("7.4.2: %d is the protocol's", code), closing(code, ""), failCode})
	}
	for _, code := range []int{3000, 3999, 4000, 4999} {
		cases = append(cases, streamCase{fmt.Sprintf("7.4.2: %d", code), closing(code, ""), fmt.Sprintf(`close %d ""`, code)})
	}
	for _, code := range []int{5000, 65535} {
		cases = append(cases, streamCase{fmt.Sprintf("7.4.2: %d is beyond all", code), closing(code, ""), failCode})
	}
	return append(cases,
		streamCase{"7.4.2: a bad code comes before a bad reason", closing(1005, "\xff"), failCode},
		streamCase{"7.4.2: a bad code within a message", join(masked(text, "a"), closing(5000, "")), failCode},
	)
}

// textCases are those of §8.1.
func textCases() []streamCase {
	const kosme = "κόσμε"
	return []streamCase{
		{"8.1: two bytes each", masked(fin|text, "äöü"), `text "äöü"`},
		{"8.1: one to four bytes", masked(fin|text, "a¢€😀"), `text "a¢€😀"`},
		{"8.1: the first of each length", masked(fin|text, "\x00\u0080\u0800\U00010000"), `text "\x00\u0080ࠀ𐀀"`},
		{"8.1: the last of each length", masked(fin|text, "\x7f\u07ff\uffff\U0010ffff"), `text "\x7f߿\uffff\U0010ffff"`},
		{"8.1: around the surrogates", masked(fin|text, "\ud7ff\ue000"), `text "\ud7ff\ue000"`},
		{"8.1: U+FFFD", masked(fin|text, "\ufffd"), `text "�"`},
		{"8.1: a byte order mark", masked(fin|text, "\ufeffa"), `text "\ufeffa"`},
		{"8.1: fragments between characters", join(masked(text, "κό"), masked(fin|cont, "σμε")), `text "κόσμε"`},
		{"8.1: fragments within characters", join(masked(text, kosme[:1]), masked(cont, kosme[1:4]), masked(fin|cont, kosme[4:])), `text "κόσμε"`},
		{"8.1: a character in four fragments", join(masked(text, "\xf0"), masked(cont, "\x9f"), masked(cont, "\x98"), masked(fin|cont, "\x80")), `text "😀"`},
		{"8.1: a character around an empty fragment", join(masked(text, "\xc3"), masked(cont, ""), masked(fin|cont, "\xa4")), `text "ä"`},
		{"8.1: a character around a ping", join(masked(text, "\xc3"), masked(fin|ping, "\xff"), masked(fin|cont, "\xa4")), `ping "\xff", text "ä"`},
		{"8.1: binary is not text", masked(fin|bin, "\xff\xfe\xc3"), `binary "\xff\xfe\xc3"`},
		{"8.1: binary in fragments is not text", join(masked(bin, "\xff"), masked(fin|cont, "\xc3")), `binary "\xff\xc3"`},

		{"8.1: half a character at the end", masked(fin|text, "a\xc3"), failText},
		{"8.1: three quarters of a character at the end", masked(fin|text, "\xf0\x9f\x98"), failText},
		{"8.1: half a character at the end of fragments", join(masked(text, "a"), masked(fin|cont, "\xe2\x82")), failText},
		{"8.1: half a character before an empty end", join(masked(text, "\xc3"), masked(fin|cont, "")), failText},
		{"8.1: half a character before another", join(masked(text, "\xc3"), masked(fin|cont, "a")), failText},
		{"8.1: a continuation byte", masked(fin|text, "\x80"), failText},
		{"8.1: four continuation bytes", masked(fin|text, "\x80\xbf\x80\xbf"), failText},
		{"8.1: a continuation byte too many", masked(fin|text, "\xc3\xa4\xa4"), failText},
		{"8.1: 0xC0", masked(fin|text, "\xc0\xaf"), failText},
		{"8.1: 0xC1", masked(fin|text, "\xc1\xbf"), failText},
		{"8.1: three bytes where two do", masked(fin|text, "\xe0\x80\xaf"), failText},
		{"8.1: three bytes where two do, the last of them", masked(fin|text, "\xe0\x9f\xbf"), failText},
		{"8.1: four bytes where three do", masked(fin|text, "\xf0\x80\x80\xaf"), failText},
		{"8.1: four bytes where three do, the last of them", masked(fin|text, "\xf0\x8f\xbf\xbf"), failText},
		{"8.1: five bytes", masked(fin|text, "\xf8\x88\x80\x80\x80"), failText},
		{"8.1: six bytes", masked(fin|text, "\xfc\x84\x80\x80\x80\x80"), failText},
		{"8.1: a zero in two bytes", masked(fin|text, "\xc0\x80"), failText},
		{"8.1: the first surrogate", masked(fin|text, "\xed\xa0\x80"), failText},
		{"8.1: the last surrogate", masked(fin|text, "\xed\xbf\xbf"), failText},
		{"8.1: a pair of surrogates", masked(fin|text, "\xed\xa0\x80\xed\xb0\x80"), failText},
		{"8.1: beyond U+10FFFF", masked(fin|text, "\xf4\x90\x80\x80"), failText},
		{"8.1: 0xFE", masked(fin|text, "a\xfe"), failText},
		{"8.1: 0xFF", masked(fin|text, "\xff"), failText},
		{"8.1: bad at the start of a long text", masked(fin|text, "\xff"+xs(1000)), failText},
		{"8.1: bad at the end of a long text", masked(fin|text, xs(1000)+"\xff"), failText},

		{"8.1: a bad first fragment, before the next", join(masked(text, "\xff"), masked(fin|ping, "")), failText},
		{"8.1: a bad second fragment, before the next", join(masked(text, "a"), masked(cont, "\xff"), masked(fin|ping, "")), failText},
		{"8.1: bad where half a frame is there", masked(fin|text, "a\xff"+xs(100))[:10], failText},
		{"8.1: good where half a frame is there", masked(fin|text, kosme)[:9], waits},
		{"8.1: a fragment that cannot become a character", join(masked(text, "\xf4\x90"), masked(fin|ping, "")), failText},
		{"8.1: a fragment that cannot become a surrogate", join(masked(text, "\xed\xa0"), masked(fin|ping, "")), failText},
		{"8.1: a fragment that is too long for a character", join(masked(text, "\xe0\x80"), masked(fin|ping, "")), failText},
		{"8.1: a fragment that can become a character", join(masked(text, "\xf4\x8f\xbf"), masked(fin|ping, "")), `ping "", ` + waits},
		{"8.1: bad after good messages", join(masked(fin|text, "a"), masked(fin|ping, ""), masked(fin|text, "\xff")), `text "a", ping "", ` + failText},
		{"8.1: good after bad is not taken", join(masked(fin|text, "\xff"), masked(fin|text, "a")), failText},

		{"8.1: a reason", closing(1000, kosme), `close 1000 "κόσμε"`},
		{"8.1: a bad reason", closing(1000, "\xff"), failReason},
		{"8.1: a reason that ends in half a character", closing(1000, "a\xc3"), failReason},
	}
}

// limitCases are those of §10.4, for a limit of lowLimit.
func limitCases() []streamCase {
	return []streamCase{
		{"10.4: a message of the limit", masked(fin|bin, xs(100)), "binary 100 x"},
		{"10.4: a message over the limit", masked(fin|bin, xs(101)), failTooBig},
		{"10.4: text over the limit", masked(fin|text, xs(101)), failTooBig},
		{"10.4: a header over the limit", announced(fin|bin, 101), failTooBig},
		{"10.4: a header over the limit, without its key", announced(fin|bin, 101)[:2], failTooBig},
		{"10.4: 16 bits over the limit", announced(fin|bin, 65535)[:4], failTooBig},
		{"10.4: 1 GiB", announced64(fin|bin, 1<<30), failTooBig},
		{"10.4: 2^32", announced64(fin|bin, 1<<32), failTooBig},
		{"10.4: 2^63-1", announced64(fin|bin, 1<<63-1), failTooBig},
		{"10.4: 2^63 is no length at all", announced64(fin|bin, 1<<63), failTopBit},
		{"10.4: a first fragment over the limit", announced(bin, 101), failTooBig},
		{"10.4: fragments of the limit", join(masked(bin, xs(60)), masked(fin|cont, xs(40))), "binary 100 x"},
		{"10.4: fragments over the limit", join(masked(bin, xs(60)), announced(fin|cont, 41)), failTooBig},
		{"10.4: a hundred fragments of a byte", join(masked(bin, ""), []byte(strings.Repeat(string(masked(cont, "x")), 100)), masked(fin|cont, "")), "binary 100 x"},
		{"10.4: a hundred and one fragments of a byte", join(masked(bin, ""), []byte(strings.Repeat(string(masked(cont, "x")), 101))), failTooBig},
		{"10.4: a fragment of 2^63-1 bytes", join(masked(bin, "x"), announced64(cont, 1<<63-1)), failTooBig},
		{"10.4: an empty end at the limit", join(masked(bin, xs(100)), masked(fin|cont, "")), "binary 100 x"},
		{"10.4: a ping over the limit", masked(fin|ping, xs(125)), "ping 125 x"},
		{"10.4: a ping within a message of the limit", join(masked(bin, xs(60)), masked(fin|ping, xs(125)), masked(fin|cont, xs(40))), "ping 125 x, binary 100 x"},
		{"10.4: a message is not counted with the one before", join(masked(fin|bin, xs(100)), masked(fin|bin, xs(100))), "binary 100 x, binary 100 x"},
		{"10.4: fragments are not counted with those before", join(masked(bin, xs(60)), masked(fin|cont, xs(40)), masked(bin, xs(60)), masked(fin|cont, xs(40))), "binary 100 x, binary 100 x"},
		{"10.4: good before the one over the limit", join(masked(fin|text, "a"), announced(fin|bin, 101)), `text "a", ` + failTooBig},
		{"10.4: nothing after the one over the limit", join(announced(fin|bin, 101), masked(fin|text, "a")), failTooBig},
		{"10.4: no mask comes before the limit", []byte{fin | bin, 126, 0, 200}, failUnmasked},
		{"10.4: bad text comes before the limit", join(masked(text, "\xff"), announced(fin|cont, 101)), failText},
	}
}

// onlyCases are those of one kind of message, the other excluded.
func onlyCases(kind websocket.Kind) []streamCase {
	if kind == websocket.Text {
		return []streamCase{
			{"7.4.1: text where text is taken", join(masked(fin|text, "a"), masked(text, "b"), masked(fin|cont, "c")), `text "a", text "bc"`},
			{"7.4.1: binary where text is taken", masked(fin|bin, "a"), "fail 1003 text messages only"},
			{"7.4.1: a first fragment of binary where text is taken", []byte{bin}, "fail 1003 text messages only"},
			{"7.4.1: a ping where text is taken", masked(fin|ping, ""), `ping ""`},
		}
	}
	return []streamCase{
		{"7.4.1: binary where binary is taken", masked(fin|bin, "\xff"), `binary "\xff"`},
		{"7.4.1: text where binary is taken", masked(fin|text, "a"), "fail 1003 binary messages only"},
		{"7.4.1: binary and text where binary is taken", join(masked(fin|bin, "a"), masked(fin|text, "a")), `binary "a", fail 1003 binary messages only`},
	}
}
