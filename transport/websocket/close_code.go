package websocket

import "fmt"

// CloseCode says why a connection is closed. The named ones are those of RFC
// 6455 §7.4.1 and of the IANA registry that §11.7 sets up.
type CloseCode uint16

// The registered codes. CloseNoStatus, CloseAbnormal and CloseTLS describe
// what happened at one end and are never in a frame.
const (
	CloseNormal             CloseCode = 1000
	CloseGoingAway          CloseCode = 1001 // the server shuts down, the browser leaves the page
	CloseProtocol           CloseCode = 1002
	CloseUnsupported        CloseCode = 1003 // a kind of message that is not taken
	CloseNoStatus           CloseCode = 1005 // the close frame had no code
	CloseAbnormal           CloseCode = 1006 // there was no close frame
	CloseInvalidPayload     CloseCode = 1007 // not UTF-8
	ClosePolicy             CloseCode = 1008
	CloseTooBig             CloseCode = 1009
	CloseMandatoryExtension CloseCode = 1010 // clients only
	CloseInternal           CloseCode = 1011
	CloseServiceRestart     CloseCode = 1012
	CloseTryAgainLater      CloseCode = 1013
	CloseBadGateway         CloseCode = 1014
	CloseTLS                CloseCode = 1015 // the TLS handshake failed
)

// Bounds of the codes that are not the protocol's, RFC 6455 §7.4.2.
const (
	firstLibraryCode = 3000 // to 3999: registered by libraries and frameworks
	lastPrivateCode  = 4999 // from 4000: private agreement
)

// OnWire reports whether the code may be in a close frame, from either side:
// 1000 to 1003, 1007 to 1014, 3000 to 4999.
func (c CloseCode) OnWire() bool {
	switch {
	case c >= CloseNormal && c <= CloseUnsupported:
		return true
	case c >= CloseInvalidPayload && c <= CloseBadGateway:
		return true
	default:
		return c >= firstLibraryCode && c <= lastPrivateCode
	}
}

// ForApplication reports whether a program may close a connection with the
// code. These are the codes of OnWire without CloseProtocol, which this
// package finds grounds for and nobody else, and CloseMandatoryExtension,
// which is for clients.
func (c CloseCode) ForApplication() bool {
	return c.OnWire() && c != CloseProtocol && c != CloseMandatoryExtension
}

// String returns the code's number, with its name if it has one.
func (c CloseCode) String() string {
	if name := c.name(); name != "" {
		return fmt.Sprintf("%d (%s)", uint16(c), name)
	}
	return fmt.Sprintf("%d", uint16(c))
}

func (c CloseCode) name() string {
	switch c {
	case CloseNormal:
		return "normal closure"
	case CloseGoingAway:
		return "going away"
	case CloseProtocol:
		return "protocol error"
	case CloseUnsupported:
		return "unsupported data"
	case CloseNoStatus:
		return "no status"
	case CloseAbnormal:
		return "abnormal closure"
	case CloseInvalidPayload:
		return "invalid payload"
	case ClosePolicy:
		return "policy violation"
	case CloseTooBig:
		return "message too big"
	case CloseMandatoryExtension:
		return "mandatory extension"
	case CloseInternal:
		return "internal error"
	case CloseServiceRestart:
		return "service restart"
	case CloseTryAgainLater:
		return "try again later"
	case CloseBadGateway:
		return "bad gateway"
	case CloseTLS:
		return "TLS handshake"
	}
	return ""
}
