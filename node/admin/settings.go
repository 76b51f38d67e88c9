package admin

import "net/http"

// A Setting is one that the program was started with, for GET /api/v1/config. Secrets
// have no place in it: a program names the file that has one.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`  // a string, a number, a bool, or a list of strings
	Source string `json:"source"` // flag, environment, file or default
	Where  string `json:"where,omitempty"`
}

// config answers GET /api/v1/config.
func (h *Handler) config(w http.ResponseWriter, r *http.Request) error {
	if _, err := parametersOf(r); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string][]Setting{"settings": h.settings})
}
