// Package framing cuts the byte stream of a connection into messages and puts
// messages onto it.
//
// A [Codec] is a pure function in two directions on byte slices. It is not a
// reader: it does no I/O, holds no buffer and keeps no state between calls.
// Whoever owns the connection buffers the bytes that are not a message yet,
// and hands them in again with those that follow. It is not a protocol
// either: it never looks into a message.
//
// The codecs, each made by the function of its name from a checked
// configuration, and by [Parse] from the options of a listener URL:
//
//	Raw         whatever bytes have arrived, cut at a maximum
//	Delimited   message delimiter, kept as part of the message or stripped
//	Line        message LF, or message CR LF, both stripped
//	Length      prefix message; prefix of 1, 2, 4, 8 bytes or a varint
//	Fixed       message; all of one length
//	Netstring   decimal length ":" message ","
//
// A program may bring its own Codec; package framingtest holds the suite that
// every Codec must pass.
//
// # Limits
//
// A codec with a limit refuses a message over it with [ErrTooLarge] as soon as
// the bytes at hand show that the message will be over it, so its caller never
// buffers more than the limit and the framing: a prefix is judged before any
// byte of its message, a delimiter must end within the limit plus its own
// length. The limit counts the bytes of the message without its framing, also
// where a kept delimiter is delivered with the message.
//
// # What comes back
//
// Whatever Encode accepts, Decode returns unchanged, from any split of the
// stream. A codec refuses with [ErrUnframeable] what would not come back: a
// message that contains the delimiter, or one of another length than the fixed
// one. The exceptions add no framing and so have nothing to refuse: Raw keeps
// the bytes but not their boundaries, and Delimited, when it keeps the
// delimiter, leaves it to the program to end its messages; both pass any bytes
// through, without a limit.
//
// # Concurrency
//
// A Codec is immutable. Any number of connections and goroutines share one.
package framing
