package admin_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"flamingo/node/admin"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// theDocument is the document of the API, which every exchange of these tests is held
// against.
var theDocument = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(admin.OpenAPI)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil // whatever the address
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/css", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/javascript", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("image/svg+xml", openapi3filter.FileBodyDecoder)
	return gorillamux.NewRouter(doc)
})

// checkContract returns what is against the document: of a request that was
// answered without a problem, and of every answer.
func checkContract(r *http.Request, body string, got answer) error {
	router, err := theDocument()
	if err != nil {
		return err
	}
	head := r.Method == http.MethodHead
	if head { // the answer is that to GET, without a body
		r = r.Clone(r.Context())
		r.Method = http.MethodGet
	}
	route, params, err := router.FindRoute(r)
	if err != nil { // the document has no such path, or no such method
		if got.status == http.StatusNotFound || got.status == http.StatusMethodNotAllowed || got.status == http.StatusUnauthorized || got.status == http.StatusForbidden || got.status == http.StatusMisdirectedRequest {
			return nil
		}
		return fmt.Errorf("%s %s is answered %d, and is not in the document", r.Method, r.URL.Path, got.status)
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			ExcludeRequestBody: route.Operation.OperationID != "closeMany",
		},
	}
	if got.status < 400 {
		r.Body = io.NopCloser(strings.NewReader(body))
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			return fmt.Errorf("%s %s is answered, and against the document: %w", r.Method, r.URL, err)
		}
	}
	if head {
		return nil
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: got.status, Header: got.header, Options: in.Options}
	out.SetBodyBytes([]byte(got.body))
	if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
		return fmt.Errorf("the answer to %s %s is against the document: %w", r.Method, r.URL, err)
	}
	return nil
}

func TestTheDocumentIsOneOfOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(admin.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	var documented []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	answered := newHandler(t, admin.Config{}).Routes()
	slices.Sort(documented)
	slices.Sort(answered)
	if !slices.Equal(documented, answered) {
		t.Errorf("documented %q\nanswered   %q", documented, answered)
	}
	a := serve(t, newHandler(t, admin.Config{}))
	if got := a.expect("GET", "/openapi.yaml", "", 200, ""); got.body != string(admin.OpenAPI) {
		t.Error("another document is served")
	}
}

func TestWhatIsAgainstTheDocumentIsFound(t *testing.T) {
	for _, c := range []struct {
		method, target, body string
		got                  answer
	}{
		{"GET", "/api/v1/nodes", "", answer{200, jsonType(), `{"nodes":[{"name":"x","state":"ready","self":true,"extra":1}]}`}},
		{"GET", "/api/v1/nodes", "", answer{200, jsonType(), `{"nodes":[{"name":"x","state":"asleep","self":true}]}`}},
		{"GET", "/api/v1/nodes", "", answer{200, jsonType(), `{}`}},
		{"GET", "/api/v1/nodes", "", answer{500, jsonType(), `{}`}},
		{"GET", "/api/v2/nodes", "", answer{200, jsonType(), `{}`}},
		{"GET", "/api/v1/connections?limit=2000", "", answer{200, jsonType(), `{"items":[]}`}},
		{"GET", "/api/v1/connections/zz", "", answer{200, jsonType(), `{}`}},
		{"POST", "/api/v1/connections/close", `{"id":1}`, answer{200, jsonType(), `{"dry_run":false,"matched":0,"closed":0}`}},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://localhost"+c.target, bytes.NewReader([]byte(c.body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if checkContract(r, c.body, c.got) == nil {
			t.Errorf("%s %s with %q, answered %d %s, is not found", c.method, c.target, c.body, c.got.status, c.got.body)
		}
	}
}

func jsonType() http.Header { return http.Header{"Content-Type": {"application/json"}} }
