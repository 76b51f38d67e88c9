package main

import (
	"net/url"
	"slices"
	"strings"

	"flamingo/framing"
	"flamingo/transport"

	"github.com/goccy/go-yaml/ast"
)

// listenKey is the key of the listeners in the file of settings.
const listenKey = "listen"

// parseListener reads a listener in its textual form. That of listeners which
// name no framing is left open.
func parseListener(text string) (transport.Listener, error) {
	codec, err := framing.Raw(0)
	if err != nil {
		return transport.Listener{}, err
	}
	return transport.ParseListener(text, codec)
}

// listener returns the textual form of a listener in the file. It is that form,
// or a mapping: the address, and options under their names in a listener, with
// - or _.
func (c *config) listener(n ast.Node) (text string, ok bool) {
	m, isMapping := n.(ast.MapNode)
	if !isMapping {
		text, ok = c.scalar(n)
		return text, ok && c.isListener(n, text)
	}
	faults := len(c.faults)
	options := url.Values{}
	for it := m.MapRange(); it.Next(); {
		if value, ok := c.scalar(it.Value()); ok {
			c.option(it.Key(), value, options)
		}
	}
	address := options.Get("address")
	options.Del("address")
	if address == "" {
		c.fault(n, "a listener without address", "add address: tcp://:4100")
	}
	if len(c.faults) > faults {
		return "", false
	}
	text = address
	if len(options) > 0 {
		text += "?" + options.Encode()
	}
	return text, c.isListener(n, text)
}

// option takes one option of a listener.
func (c *config) option(key ast.Node, value string, options url.Values) {
	name := strings.ReplaceAll(key.GetToken().Value, "_", "-")
	options.Set(name, value)
	switch {
	case name == "address", name == "framing", slices.Contains(framing.Options(), name):
		// these make sense together alone
	default:
		_, err := parseListener("tcp://:0?" + url.Values{name: {value}}.Encode())
		c.because(key, err)
	}
}

func (c *config) isListener(n ast.Node, text string) bool {
	_, err := parseListener(text)
	return c.because(n, err)
}

// because is a fault at a node if there is an error, and reports whether there
// is none.
func (c *config) because(n ast.Node, err error) bool {
	if err != nil {
		c.fault(n, err.Error(), "")
	}
	return err == nil
}

// framingOf returns the framing of a listener in its textual form, which is
// fallback if it names none.
func framingOf(listener, fallback string) (string, error) {
	u, err := url.Parse(listener)
	if err != nil {
		return "", err
	}
	if name := u.Query().Get("framing"); name != "" {
		return name, nil
	}
	return fallback, nil
}
