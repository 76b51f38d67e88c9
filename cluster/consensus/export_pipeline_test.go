package consensus

// Pipeline is what a transport of s says when it is asked to send entries before
// those in front of them are answered.
func (s *Server) Pipeline() error {
	t := newRaftTransport(s, newStreams(s))
	defer t.Close()
	_, err := t.AppendEntriesPipeline("", "")
	return err
}
