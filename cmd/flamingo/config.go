package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxConfigSize bounds the file of settings, in bytes: far beyond any that a
// person writes.
const maxConfigSize = 1 << 20

// loadConfig reads the file of settings at path: a YAML mapping whose keys are
// those of flags, such as cluster.join. It returns the values by key, each a
// string or a list of strings, in the form that the flag takes. The error shows
// every fault in the user's own text.
func loadConfig(path string, flags map[string]*kong.Flag) (map[string]any, error) {
	text, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	c := &config{source: source{path: path, lines: strings.Split(string(text), "\n")}, flags: flags, values: make(map[string]any)}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, c.syntaxFault(err)
	}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			c.fault(doc.Body, "a second document", "keep one in the file")
		default:
			c.walk("", doc.Body)
		}
	}
	return c.values, errors.Join(c.faults...)
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("file of settings: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err != nil {
		return nil, fmt.Errorf("file of settings: %w", err)
	}
	if len(text) > maxConfigSize {
		return nil, fmt.Errorf("file of settings: %s is longer than %d bytes", path, maxConfigSize)
	}
	return text, nil
}

// config is a file of settings while it is read.
type config struct {
	source
	flags  map[string]*kong.Flag // by key
	values map[string]any        // by key
	faults []error
}

// syntaxFault shows an error of the parser as the others are shown.
func (c *config) syntaxFault(err error) error {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	return c.at(syntax.Token.Position, "not YAML: "+syntax.Message, "")
}

func (c *config) fault(n ast.Node, what, advice string) {
	c.faults = append(c.faults, c.at(start(n), what, advice))
}

// walk takes the settings from a mapping; prefix is its own key.
func (c *config) walk(prefix string, n ast.Node) {
	m, ok := n.(ast.MapNode)
	if !ok {
		if _, empty := n.(*ast.NullNode); !empty {
			c.fault(n, strings.TrimSuffix(prefix, ".")+": not a mapping", "write keys below each other, each with a colon and its value")
		}
		return
	}
	for it := m.MapRange(); it.Next(); {
		name := it.Key().GetToken().Value
		switch key := prefix + name; {
		case c.flags[key] != nil:
			c.setting(key, it.Value())
		case c.isSection(key):
			c.walk(key+".", it.Value())
		default:
			c.fault(it.Key(), fmt.Sprintf("unknown key %q", key), c.advice(key))
		}
	}
}

// isSection reports whether keys begin with this one and a dot.
func (c *config) isSection(key string) bool {
	for k := range c.flags {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

func (c *config) advice(key string) string {
	known := slices.Sorted(maps.Keys(c.flags))
	words := slices.Clone(known)
	for _, k := range known {
		section, _, _ := strings.Cut(k, ".")
		words = append(words, section)
	}
	if near := nearest(key, words); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "known are " + strings.Join(known, ", ")
}

// setting takes the value of one key. Nothing is as if the key were not there.
func (c *config) setting(key string, n ast.Node) {
	flag := c.flags[key]
	list, isList := n.(*ast.SequenceNode)
	switch {
	case n.Type() == ast.NullType:
	case isList && flag.IsSlice():
		c.take(key, n, c.list(key, list.Values))
	case flag.IsSlice():
		c.take(key, n, c.list(key, []ast.Node{n}))
	default:
		if text, ok := c.scalar(n); ok {
			c.take(key, n, text)
		}
	}
}

// take keeps a value if the flag would.
func (c *config) take(key string, n ast.Node, value any) {
	if err := check(c.flags[key], value); err != nil {
		c.fault(n, fmt.Sprintf("%s: %v", key, err), "")
		return
	}
	c.values[key] = value
}

// list returns the values without those that are faults.
func (c *config) list(key string, nodes []ast.Node) []any {
	values := make([]any, 0, len(nodes))
	for _, n := range nodes {
		item := c.scalar
		if key == listenKey {
			item = c.listener
		}
		if text, ok := item(n); ok {
			values = append(values, text)
		}
	}
	return values
}

func (c *config) scalar(n ast.Node) (text string, ok bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode: // several lines of text
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true // as it is written
	}
	c.fault(n, "one value is wanted", "write it behind the colon, in quotes if in doubt")
	return "", false
}
