package framing

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// The options of Parse, as a listener URL spells them.
const (
	optBufferSize     = "buffer-size"
	optMaxMessage     = "max-message"
	optDelimiter      = "delimiter"
	optDelimiterKeep  = "delimiter-keep"
	optLineEnding     = "line-ending"
	optLengthBytes    = "length-bytes"
	optLengthOrder    = "length-order"
	optLengthIncludes = "length-includes-prefix"
	optFixedSize      = "fixed-size"
)

// framings lists what Parse knows: each framing, and the options it takes.
var framings = []struct {
	name    string
	options []string
	build   func(*optionReader) (Codec, error)
}{
	{"raw", []string{optBufferSize}, buildRaw},
	{"delimiter", []string{optDelimiter, optDelimiterKeep, optMaxMessage}, buildDelimited},
	{"line", []string{optLineEnding, optMaxMessage}, buildLine},
	{"length", []string{optLengthBytes, optLengthOrder, optLengthIncludes, optMaxMessage}, buildLength},
	{"fixed", []string{optFixedSize}, buildFixed},
	{"netstring", []string{optMaxMessage}, buildNetstring},
}

// Names returns the framings that Parse knows.
func Names() []string {
	var names []string
	for _, f := range framings {
		names = append(names, f.name)
	}
	return names
}

// Options returns the names of all options that Parse reads, sorted. What a
// listener URL contains beside them and the name of the framing itself is the
// listener's.
func Options() []string {
	var options []string
	for _, f := range framings {
		options = append(options, f.options...)
	}
	slices.Sort(options)
	return slices.Compact(options)
}

// Parse returns the codec that a listener URL asks for: name is one of Names,
// and an empty one means raw. It reads only the keys that Options lists, and
// leaves out of account all others.
//
//	raw        buffer-size=N (default 1024)
//	delimiter  delimiter=BYTES (%0A), delimiter-keep=true|false (true)
//	line       line-ending=lf|crlf (lf)
//	length     length-bytes=1|2|4|8|varint (4), length-order=big|little (big),
//	           length-includes-prefix=true|false (false)
//	fixed      fixed-size=N (required)
//	netstring
//
// All but raw and fixed take max-message=N (1048576) too. A URL spells the
// bytes of a delimiter in percent-encoding, and a plus sign as %2B. The error
// matches ErrBadOption and reports every bad value, every option given twice, and
// every option of another framing.
func Parse(name string, options url.Values) (Codec, error) {
	if name == "" {
		name = framings[0].name
	}
	for _, f := range framings {
		if f.name != name {
			continue
		}
		r := &optionReader{options: options}
		r.refuseForeign(f.name, f.options)
		codec, err := f.build(r)
		if len(r.errs) > 0 { // then the codec was built from stand-ins
			return nil, errors.Join(r.errs...)
		}
		return codec, err
	}
	return nil, badOption("framing=%q: allowed are %s", name, strings.Join(Names(), ", "))
}

// takers returns the framings that take an option.
func takers(option string) []string {
	var names []string
	for _, f := range framings {
		if slices.Contains(f.options, option) {
			names = append(names, f.name)
		}
	}
	return names
}

func buildRaw(r *optionReader) (Codec, error) {
	return Raw(r.bytes(optBufferSize, DefaultBufferSize))
}

func buildDelimited(r *optionReader) (Codec, error) {
	return Delimited(DelimiterConfig{
		Delimiter:  r.byteString(optDelimiter, MaxDelimiter),
		Strip:      r.choice(optDelimiterKeep, "true", "true", "false") == "false",
		MaxMessage: r.bytes(optMaxMessage, DefaultMaxMessage),
	})
}

func buildLine(r *optionReader) (Codec, error) {
	cfg := LineConfig{MaxMessage: r.bytes(optMaxMessage, DefaultMaxMessage)}
	if r.choice(optLineEnding, "lf", "lf", "crlf") == "crlf" {
		cfg.Ending = CRLF
	}
	return Line(cfg)
}

func buildLength(r *optionReader) (Codec, error) {
	widths := map[string]int{"1": 1, "2": 2, "4": 4, "8": 8, "varint": Varint}
	cfg := LengthConfig{
		Width:          widths[r.choice(optLengthBytes, "4", "1", "2", "4", "8", "varint")],
		LittleEndian:   r.choice(optLengthOrder, "big", "big", "little") == "little",
		IncludesPrefix: r.choice(optLengthIncludes, "false", "true", "false") == "true",
		MaxMessage:     r.bytes(optMaxMessage, DefaultMaxMessage),
	}
	if cfg.Width == Varint {
		if r.options.Has(optLengthOrder) {
			r.refuse(optLengthOrder, "a varint prefix has no byte order to choose")
		}
		if cfg.IncludesPrefix {
			r.refuse(optLengthIncludes, "a varint prefix cannot count itself; allowed is false")
		}
	}
	return Length(cfg)
}

func buildFixed(r *optionReader) (Codec, error) {
	if !r.options.Has(optFixedSize) {
		r.errs = append(r.errs, badOption("%s is required with framing=fixed: allowed are 1 to %d bytes",
			optFixedSize, MaxMessageLimit))
	}
	return Fixed(r.bytes(optFixedSize, 1))
}

func buildNetstring(r *optionReader) (Codec, error) {
	return Netstring(r.bytes(optMaxMessage, DefaultMaxMessage))
}
