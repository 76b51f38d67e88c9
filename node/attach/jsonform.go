package attach

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"

	"flamingo/idspace"
	"flamingo/node"
)

// jsonForm has the frames as objects: in lines on a stream, and as messages.
type jsonForm struct{ lines bool }

func (f jsonForm) appendFrame(dst []byte, r *record) []byte {
	dst = appendObject(dst, r, "type", frameLayouts[:])
	if f.lines {
		dst = append(dst, '\n')
	}
	return dst
}

// appendObject appends a record as an object, without the fields that are zero.
func appendObject(dst []byte, r *record, kindName string, layouts []layout) []byte {
	l := &layouts[r.kind]
	dst = append(append(append(dst, `{"`...), kindName...), `":"`...)
	dst = append(append(dst, l.name...), '"')
	u, s := 0, 0
	for i, name := range l.names {
		switch l.fields[i] {
		case 'u':
			dst = appendInteger(dst, name, r.u[u])
			u++
		case 's':
			if r.s[s] != "" {
				dst = appendQuoted(appendName(dst, name), r.s[s])
			}
			s++
		case 'b':
			dst = appendPayload(dst, name, r.payload)
		case 'a':
			dst = appendList(dst, name, r.list)
		case 'x':
			if len(r.actions) > 0 {
				dst = append(appendName(dst, name), '[')
				for k := range r.actions {
					dst = append(appendObject(dst, &r.actions[k], "do", actionLayouts[:]), ',')
				}
				dst[len(dst)-1] = ']'
			}
		}
	}
	return append(dst, '}')
}

func appendName(dst []byte, name string) []byte {
	return append(append(append(dst, `,"`...), name...), `":`...)
}

func appendQuoted(dst []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(dst, `""`...) // a string always has a form
	}
	return append(dst, quoted...)
}

// appendInteger appends an integer by what its name says that it is. Outcomes are
// always there.
func appendInteger(dst []byte, name string, v uint64) []byte {
	switch {
	case name == "outcome":
		return appendQuoted(appendName(dst, name), outcomes[v].name)
	case v == 0:
		return dst
	case name == "id":
		return appendQuoted(appendName(dst, name), idspace.ID(v).String())
	case name == "node_number":
		return appendQuoted(appendName(dst, name), idspace.NodeNumber(v).String())
	case name == "kind":
		return appendQuoted(appendName(dst, name), kindNames[v])
	case name == "what":
		return appendQuoted(appendName(dst, name), askNames[v])
	default:
		return strconv.AppendUint(appendName(dst, name), v, 10)
	}
}

func appendPayload(dst []byte, name string, payload []byte) []byte {
	switch {
	case len(payload) == 0:
		return dst
	case name == "body": // is JSON
		return append(appendName(dst, name), payload...)
	case utf8.Valid(payload):
		return appendQuoted(appendName(dst, "text"), string(payload))
	}
	dst = append(appendName(dst, "base64"), '"')
	return append(base64.StdEncoding.AppendEncode(dst, payload), '"')
}

func appendList(dst []byte, name string, list []uint64) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(appendName(dst, name), '[')
	for _, v := range list {
		if name == "outcomes" {
			dst = appendQuoted(dst, outcomes[v].name)
		} else {
			dst = appendQuoted(dst, idspace.ID(v).String())
		}
		dst = append(dst, ',')
	}
	dst[len(dst)-1] = ']'
	return dst
}

// An object is one whose members are not read yet.
type object map[string]json.RawMessage

func (jsonForm) decode(body []byte, r *record) error {
	r.reset()
	return readObject(body, r, "type", frameLayouts[:])
}

func readObject(body []byte, r *record, kindName string, layouts []layout) error {
	var o object
	if err := json.Unmarshal(body, &o); err != nil || o == nil {
		return malformed("not a JSON object: %.100q", body)
	}
	var name string
	if err := o.take(kindName, &name); err != nil {
		return err
	}
	kind := slices.IndexFunc(layouts, func(l layout) bool { return l.name == name })
	if kind < 0 || name == "" {
		return malformed("no such %s: %.40q", kindName, name)
	}
	r.kind = uint8(kind)
	l := &layouts[kind]
	u, s := 0, 0
	for i, name := range l.names {
		var err error
		switch l.fields[i] {
		case 'u':
			r.u[u], err = o.integer(name)
			u++
		case 's':
			err = o.take(name, &r.s[s])
			s++
		case 'b':
			r.payload, err = o.payload(name)
		case 'a':
			r.list, err = o.list(name, r.list)
		case 'x':
			err = o.actions(name, r)
		}
		if err != nil {
			return err
		}
	}
	for name := range o {
		return malformed("%s has no member %.40q", l.name, name)
	}
	return nil
}

// take reads a member into v, unless it is not there or null, and removes it.
func (o object) take(name string, v any) error {
	raw, ok := o[name]
	if !ok {
		return nil
	}
	delete(o, name)
	if err := json.Unmarshal(raw, v); err != nil {
		return malformed("member %q: %.60s", name, raw)
	}
	return nil
}

// integer reads an integer by what its name says that it is.
func (o object) integer(name string) (v uint64, err error) {
	switch name {
	case "id", "kind", "what", "outcome", "node_number":
	default:
		err = o.take(name, &v)
		return v, err
	}
	var text string
	if err = o.take(name, &text); err != nil || text == "" {
		return 0, err
	}
	switch name {
	case "kind":
		return indexOf(kindNames[:], name, text)
	case "what":
		return indexOf(askNames[:], name, text)
	case "outcome":
		return outcomeNamed(text)
	case "node_number":
		var n idspace.NodeNumber
		err = n.UnmarshalText([]byte(text))
		return uint64(n), err
	}
	return uint64(idOf(text)), nil
}

// idOf returns the id that text names, or 0, which is none: its outcome is bad-id.
func idOf(text string) node.ID {
	id, err := idspace.ParseID(text)
	if err != nil {
		return 0
	}
	return id
}

func indexOf(names []string, name, text string) (uint64, error) {
	i := slices.Index(names, text)
	if i < 0 {
		return 0, malformed("member %q: no such one: %.40q", name, text)
	}
	return uint64(i), nil
}

func outcomeNamed(text string) (uint64, error) {
	for i := range outcomes {
		if outcomes[i].name == text {
			return uint64(i), nil
		}
	}
	return 0, malformed("no such outcome: %.40q", text)
}

func (o object) payload(name string) (payload []byte, err error) {
	if name == "body" {
		payload = o[name]
		delete(o, name)
		return payload, nil
	}
	var text string
	if err = errors.Join(o.take("base64", &payload), o.take("text", &text)); err != nil {
		return nil, err
	}
	if text != "" && payload != nil {
		return nil, malformed(`"text" beside "base64"`)
	}
	if payload == nil {
		payload = []byte(text)
	}
	return payload, nil
}

func (o object) list(name string, list []uint64) ([]uint64, error) {
	var texts []string
	if err := o.take(name, &texts); err != nil {
		return list, err
	}
	if len(texts) > maxIDs {
		return list, malformed("member %q: %d, limit %d", name, len(texts), maxIDs)
	}
	for _, text := range texts {
		v, err := uint64(idOf(text)), error(nil)
		if name == "outcomes" {
			v, err = outcomeNamed(text)
		}
		if err != nil {
			return list, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (o object) actions(name string, r *record) error {
	var raws []json.RawMessage
	if err := o.take(name, &raws); err != nil {
		return err
	}
	if len(raws) > maxActions {
		return malformed("%d actions, limit %d", len(raws), maxActions)
	}
	for _, raw := range raws {
		if err := readObject(raw, r.grow(), "do", actionLayouts[:]); err != nil {
			return err
		}
	}
	return nil
}

// asBody is v as the body of an answer.
func asBody(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		return nil // the bodies are structs of ours, without floats
	}
	return body
}
