package websocket

import "strconv"

// Status codes of HTTP, RFC 9110 §15 and RFC 6585.
const (
	statusSwitching       = 101
	statusBadRequest      = 400
	statusForbidden       = 403
	statusNotFound        = 404
	statusMethod          = 405
	statusTooLarge        = 413
	statusURITooLong      = 414
	statusUpgradeRequired = 426
	statusFieldsTooLarge  = 431
	statusVersion         = 505
)

var statusNames = map[int]string{
	statusBadRequest:      "Bad Request",
	statusForbidden:       "Forbidden",
	statusNotFound:        "Not Found",
	statusMethod:          "Method Not Allowed",
	statusTooLarge:        "Content Too Large",
	statusURITooLong:      "URI Too Long",
	statusUpgradeRequired: "Upgrade Required",
	statusFieldsTooLarge:  "Request Header Fields Too Large",
	statusVersion:         "HTTP Version Not Supported",
}

// refusal is why a request is not accepted.
type refusal struct {
	status int
	reason string
	fields string // of the response, besides those that all have
}

func badRequest(reason string) *refusal {
	return &refusal{status: statusBadRequest, reason: reason}
}

func upgradeRequired(reason string) *refusal {
	return &refusal{
		status: statusUpgradeRequired,
		reason: reason,
		fields: "Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n",
	}
}

// response returns what to write before the connection is closed.
func (r *refusal) response() []byte {
	fields := r.fields
	if r.status != statusUpgradeRequired {
		fields += "Connection: close\r\n"
	}
	return []byte("HTTP/1.1 " + strconv.Itoa(r.status) + " " + statusNames[r.status] + "\r\n" +
		fields +
		"Content-Type: text/plain; charset=utf-8\r\n" +
		"Content-Length: " + strconv.Itoa(len(r.reason)+1) + "\r\n\r\n" +
		r.reason + "\n")
}
