package main

import (
	"iter"
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
	address, options := "", []listenerOption(nil)
	for it := m.MapRange(); it.Next(); {
		value, ok := c.scalar(it.Value())
		name := strings.ReplaceAll(it.Key().GetToken().Value, "_", "-")
		switch {
		case !ok:
		case name == "address":
			address = value
		default:
			options = append(options, listenerOption{it.Key(), name, value})
		}
	}
	if address == "" {
		c.fault(n, "a listener without address", "add address: tcp://:4100")
	}
	if len(c.faults) > faults {
		return "", false
	}
	return listenerText(address, options), c.isListenerOf(n, address, options)
}

// A listenerOption is an option of a listener that stands in the file as a key.
type listenerOption struct {
	key         ast.Node
	name, value string
}

func listenerText(address string, options []listenerOption) string {
	if len(options) == 0 {
		return address
	}
	query := url.Values{}
	for _, o := range options {
		query.Set(o.name, o.value)
	}
	return address + "?" + query.Encode()
}

// suspects bounds how many options of a listener are found wrong together.
const suspects = 3

// isListenerOf checks a listener as a whole, since options make sense together
// or with a scheme alone. What is wrong with it are the fewest options without
// which it is right: each is a fault at its key, beside those that are right. If
// there are none it is a fault of the listener.
func (c *config) isListenerOf(n ast.Node, address string, options []listenerOption) bool {
	_, err := parseListener(listenerText(address, options))
	if err == nil {
		return true
	}
	for size := 1; size <= min(suspects, len(options)); size++ {
		for wrong, right := range picks(options, size) {
			if _, err := parseListener(listenerText(address, right)); err != nil {
				continue
			}
			for _, o := range wrong {
				_, err := parseListener(listenerText(address, append(slices.Clone(right), o)))
				c.because(o.key, err)
			}
			return false
		}
	}
	return c.because(n, err)
}

// picks yields every way to pick so many of the options, and the rest.
func picks(options []listenerOption, size int) iter.Seq2[[]listenerOption, []listenerOption] {
	return func(yield func(picked, rest []listenerOption) bool) {
		var pick func(from int, picked, rest []listenerOption) bool
		pick = func(from int, picked, rest []listenerOption) bool {
			switch {
			case len(picked) == size:
				return yield(picked, slices.Concat(rest, options[from:]))
			case from == len(options):
				return true
			}
			return pick(from+1, append(slices.Clip(picked), options[from]), rest) &&
				pick(from+1, picked, append(slices.Clip(rest), options[from]))
		}
		pick(0, nil, nil)
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

// isWeb reports whether a listener in its textual form is one of WebSockets.
func isWeb(listener string) bool {
	scheme, _, _ := strings.Cut(listener, "://")
	return scheme == "ws" || scheme == "wss"
}

// framingWeb stands for the framing of WebSockets, which have none.
const framingWeb = "websocket"

// framingOf returns the framing of a listener in its textual form, which is
// fallback if it names none.
func framingOf(listener, fallback string) (string, error) {
	if isWeb(listener) {
		return framingWeb, nil
	}
	u, err := url.Parse(listener)
	if err != nil {
		return "", err
	}
	if name := u.Query().Get("framing"); name != "" {
		return name, nil
	}
	return fallback, nil
}
