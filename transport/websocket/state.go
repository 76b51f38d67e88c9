package websocket

// A State is what one connection keeps between two calls of Decode. The zero
// value is that of a new connection, and of one in between messages.
type State struct {
	partial *partial // nil in between messages; &ended after the last event
}

// Idle reports whether the State is the zero value, which needs no keeping.
func (s *State) Idle() bool { return s.partial == nil }

// Buffered returns how many bytes of memory the State holds for payloads.
func (s *State) Buffered() int {
	if s.partial == nil {
		return 0
	}
	return cap(s.partial.message) + cap(s.partial.control)
}

// firstBuffer is the least room made for a payload whose length is not known,
// in bytes.
const firstBuffer = 64

// partial is a message of which some is there, a frame, or both.
type partial struct {
	// The frame that is arriving.
	head    [longestInput]byte // the beginning of its header
	headLen uint8
	inFrame bool   // its header is complete, its payload is not
	frame   header // the length and the key are those of the rest
	control []byte // its payload, if it is a control frame

	// The message that is arriving, if kind is not None.
	kind    Kind
	message []byte
	checked int // leading bytes of message that are known to be UTF-8
}

// ended marks the State of a stream that is over. Nobody writes to it.
var ended partial

// hold returns the partial of s, of which there may have been none.
func (s *State) hold() *partial {
	if s.partial == nil {
		s.partial = new(partial)
	}
	return s.partial
}

// settle lets go of the partial if there is nothing in it.
func (s *State) settle() {
	if p := s.partial; p != nil && p.kind == None && !p.inFrame && p.headLen == 0 {
		s.partial = nil
	}
}

// inProgress describes the message of which some frames are there.
func (s *State) inProgress() (Kind, int) {
	if s.partial == nil {
		return None, 0
	}
	return s.partial.kind, len(s.partial.message)
}

// room returns message with room for n bytes more of the frame that is
// arriving. It doubles what is there, so that pieces of any size cost a
// constant time per byte, but makes no more room than the message can need.
func (p *partial) room(n, limit int) []byte {
	have := len(p.message)
	need := have + n
	if need <= cap(p.message) {
		return p.message
	}
	most := limit
	if p.frame.fin {
		most = have + p.frame.length
	}
	grown := make([]byte, have, need+min(max(need, firstBuffer), most-need))
	copy(grown, p.message)
	return grown
}
