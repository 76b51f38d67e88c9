package admin

import (
	_ "embed" // of the document
	"net/http"
)

// The document of the API, OpenAPI 3.0. Tests hold every route, request and answer
// against it.
//
//go:embed openapi.yaml
var openAPI []byte

// document answers GET /openapi.yaml.
func (h *Handler) document(w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	writeBody(w, http.StatusOK, "application/yaml", openAPI)
	return nil
}
