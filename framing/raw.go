package framing

// raw takes the bytes as they come: the network, not the peer, decides where
// one message ends.
type raw struct {
	max int
}

// Raw returns a codec without framing. A message is whatever bytes are at
// hand, at most bufferSize (1 to MaxMessageLimit; zero means
// DefaultBufferSize); longer input becomes several messages. Encode passes
// messages of any length through.
func Raw(bufferSize int) (Codec, error) {
	limit, err := limitOf("buffer size", bufferSize, DefaultBufferSize)
	if err != nil {
		return nil, err
	}
	return &raw{max: limit}, nil
}

func (c *raw) Decode(data []byte, _ int) ([]byte, int, error) {
	n := min(len(data), c.max)
	return data[:n:n], n, nil
}

func (c *raw) Encode(dst, msg []byte) ([]byte, error) {
	return append(dst, msg...), nil
}
