package admin

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"

	"flamingo/idspace"
	"flamingo/node"
)

// The connections as the management API of Amazon's API Gateway has them, so that a
// program written for that moves by changing its endpoint. Everything that is lost is
// 410 there. Signatures are not checked: with tokens, the access key id is one.

// gatewayPath is where they are.
const (
	gatewayPrefix = "/@connections/"
	gatewayPath   = gatewayPrefix + "{id}"
)

// gatewayInfo describes a connection.
type gatewayInfo struct {
	Connected  string `json:"connectedAt"`
	LastActive string `json:"lastActiveAt"`
	Identity   struct {
		SourceIP  string `json:"sourceIp"`
		UserAgent string `json:"userAgent"`
	} `json:"identity"`
}

// asGateway returns an action whose failures are told as that API does.
func (h *Handler) asGateway(do func(n target, id node.ID, w http.ResponseWriter, r *http.Request) error) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := h.gateway(do, w, r)
		if err == nil {
			return nil
		}
		status, name := gatewayProblem(ProblemOf(err).Status)
		if status == 0 {
			return err // none of theirs: ours
		}
		w.Header().Set("X-Amzn-Errortype", name)
		body, _ := json.Marshal(map[string]string{"message": err.Error()}) // a string
		writeBody(w, status, "application/json", append(body, '\n'))
		return nil
	}
}

func (h *Handler) gateway(do func(n target, id node.ID, w http.ResponseWriter, r *http.Request) error, w http.ResponseWriter, r *http.Request) error {
	n, err := h.attached()
	if err != nil {
		return err
	}
	if _, err := parametersOf(r); err != nil {
		return err
	}
	id, err := idspace.ParseID(r.PathValue("id"))
	if err != nil {
		return node.ErrGone // nobody has such an id
	}
	return do(n, id, w, r)
}

// gatewayProblem returns the status and the name of a failure, 0 if that API has none
// for it.
func gatewayProblem(status int) (int, string) {
	switch status {
	case http.StatusGone, http.StatusNotFound:
		return http.StatusGone, "GoneException"
	case http.StatusRequestEntityTooLarge:
		return status, "PayloadTooLargeException"
	case http.StatusTooManyRequests:
		return status, "LimitExceededException"
	}
	return 0, ""
}

// gatewaySend answers POST /@connections/{id}: the body is the message.
func (h *Handler) gatewaySend(n target, id node.ID, w http.ResponseWriter, r *http.Request) error {
	msg, done, err := h.takeMessage(w, r)
	if err != nil {
		return err
	}
	defer done()
	if err := n.SendDataAs(id, node.KindDefault, msg); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// gatewayShow answers GET /@connections/{id}.
func (h *Handler) gatewayShow(n target, id node.ID, w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), describeTimeout)
	defer cancel()
	c, err := n.Describe(ctx, id)
	if err != nil {
		return err
	}
	info := gatewayInfo{Connected: instant(c.Opened), LastActive: instant(c.LastActive)}
	info.Identity.SourceIP = addrText(c.Remote)
	if host, _, err := net.SplitHostPort(info.Identity.SourceIP); err == nil {
		info.Identity.SourceIP = host
	}
	return writeJSON(w, http.StatusOK, info)
}

// gatewayClose answers DELETE /@connections/{id}.
func (h *Handler) gatewayClose(n target, id node.ID, w http.ResponseWriter, _ *http.Request) error {
	if err := n.DisconnectWith(id, 0, ""); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// signedBy returns the access key id of a signature, version 4, which is the
// credential up to its first slash.
func signedBy(authorization string) (token string, ok bool) {
	rest, ok := strings.CutPrefix(authorization, "AWS4-HMAC-SHA256 ")
	if !ok {
		return "", false
	}
	for part := range strings.SplitSeq(rest, ",") {
		if credential, found := strings.CutPrefix(strings.TrimSpace(part), "Credential="); found {
			token, _, ok = strings.Cut(credential, "/")
			return token, ok && token != ""
		}
	}
	return "", false
}
