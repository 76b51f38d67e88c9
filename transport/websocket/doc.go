// Package websocket is the server's side of RFC 6455 on byte slices: the
// opening handshake, the frames of a client, the frames to a client.
//
// It opens no socket, starts no goroutine and keeps no time, so an event loop
// and a goroutine for each connection can both feed it. It answers nothing by
// itself: who owns the connection writes what it is told to, replies to pings
// and to a close, ends connections that stay silent or ping too often, and
// bounds their number. It agrees on no extension, so nothing is compressed.
//
// # Nouns
//
// An [Upgrader] judges the request of a client, and a [Decoder] its frames.
// Both are made from a checked configuration, immutable, and shared by any
// number of connections and goroutines. A [State] is what one connection keeps
// of its stream between two reads: a pointer, nil in between messages. Calls
// with the same State must not run at once.
//
//	request ──► Upgrader.Answer ──► response, 101 or a refusal
//	frames  ──► Decoder.Decode  ──► Text Binary Ping Pong Close, or an error
//	frames  ◄── AppendMessage AppendPing AppendPong AppendClose AppendHeader
//
// # States of a stream
//
//	between messages   entered by a new connection and by the end of a
//	                   message; holds no memory
//	within a message   from its first byte, or from a frame without FIN, to
//	                   the end of its last frame; holds what has arrived of it
//	ended              by a close frame or an error; final, everything that
//	                   follows is discarded
//
// # What is refused
//
// Each byte is judged by those before it alone, as soon as it is there: a
// stream gives the same events and the same error however it is split.
//
//	1002  reserved bits and opcodes, no mask, a length in more bytes than it
//	      needs, control frames that are long or fragmented, continuations
//	      that do not fit, close frames with half a code or a code that must
//	      not be sent
//	1003  a message of a kind that DecoderConfig.Only excludes
//	1007  text, or the reason of a close, that is not UTF-8
//	1009  a message over the limit, at the header that shows it
//
// A message's memory follows the bytes received and not those announced, and
// is at most twice as much. Frames without payload cost nothing but the time
// to read their headers, however many there are of them.
package websocket
