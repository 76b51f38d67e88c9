package transport

// WebSocket are the settings of a listener for WebSockets.
type WebSocket struct {
	// Path is the path of the request that opens a connection. Empty means any.
	Path string
}
