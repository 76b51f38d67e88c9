package attach_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"flamingo/node/attach"
)

// A schema is as much of a JSON schema as the document of the protocol has.
type schema struct {
	Ref        string `json:"$ref"`
	Const      string
	Enum       []string
	OneOf      []schema
	Properties map[string]schema
	Required   []string
	MaxItems   int
	Maximum    int
}

type asyncAPI struct {
	AsyncAPI   string
	Channels   map[string]struct{ Messages map[string]schema }
	Operations map[string]struct{ Messages []schema }
	Components struct {
		Messages map[string]struct {
			Name    string
			Payload schema
		}
		Schemas map[string]schema
	}
}

func readAsyncAPI(t *testing.T) (doc asyncAPI, raw any) {
	t.Helper()
	text, err := os.ReadFile("../../docs/attach.asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	return doc, raw
}

// comparesSchema checks that a record has the members that the code has.
func comparesSchema(t *testing.T, tag string, s schema, l layout) {
	t.Helper()
	name, _, fields := l.Fields()
	want := []string{tag}
	for _, f := range fields {
		if f == "payload" {
			want = append(want, "text", "base64")
		} else {
			want = append(want, f)
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(got, want) || s.Properties[tag].Const != name {
		t.Errorf("%s %q has %v, the code has %v", tag, name, got, want)
	}
	for _, r := range s.Required {
		if !slices.Contains(want, r) {
			t.Errorf("%s requires %s, which it does not have", name, r)
		}
	}
}

func TestAsyncAPIHasTheProtocol(t *testing.T) {
	doc, raw := readAsyncAPI(t)
	messages, count := doc.Components.Messages, 0
	for _, l := range attach.FrameLayouts {
		if name, _, _ := l.Fields(); name != "" {
			count++
			comparesSchema(t, "type", messages[name].Payload, l)
		}
	}
	if len(messages) != count || len(doc.Channels["session"].Messages) != count {
		t.Errorf("%d messages, the code has %d", len(messages), count)
	}
	actions := map[string]schema{}
	for _, s := range doc.Components.Schemas["action"].OneOf {
		actions[s.Properties["do"].Const] = s
	}
	for _, l := range attach.ActionLayouts[1:] {
		name, _, _ := l.Fields()
		comparesSchema(t, "do", actions[name], l)
	}
	if want := len(attach.ActionLayouts) - 1; len(actions) != want {
		t.Errorf("%d actions, the code has %d", len(actions), want)
	}
	if got := doc.Components.Schemas["outcome"].Enum; !slices.Equal(got, attach.OutcomeNames()) {
		t.Errorf("outcomes %v, the code has %v", got, attach.OutcomeNames())
	}
	if got := messages["ask"].Payload.Properties["what"].Enum; !slices.Equal(got, attach.AskNames[1:]) {
		t.Errorf("asks %v, the code has %v", got, attach.AskNames[1:])
	}
	if got := messages["hello"].Payload.Properties["events"].Maximum; got != attach.Limits["events of a window"] {
		t.Errorf("a window of %d, the code has %d", got, attach.Limits["events of a window"])
	}
	if doc.AsyncAPI != "3.0.0" {
		t.Errorf("version %q of AsyncAPI", doc.AsyncAPI)
	}
	for _, ref := range refsOf(raw) {
		if !resolves(raw, ref) {
			t.Errorf("%s leads nowhere", ref)
		}
	}
}

// refsOf returns every reference within a document.
func refsOf(v any) (refs []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if ref, ok := member.(string); ok && name == "$ref" {
				refs = append(refs, ref)
			}
			refs = append(refs, refsOf(member)...)
		}
	case []any:
		for _, element := range v {
			refs = append(refs, refsOf(element)...)
		}
	}
	return refs
}

func resolves(v any, ref string) bool {
	path, ok := strings.CutPrefix(ref, "#/")
	for step := range strings.SplitSeq(path, "/") {
		members, _ := v.(map[string]any)
		if v = members[step]; v == nil {
			return false
		}
	}
	return ok
}
