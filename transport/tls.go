package transport

// TLS are the settings of a listener that encrypts.
type TLS struct{}
