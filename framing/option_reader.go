package framing

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// optionReader reads options and collects what is wrong with them. In place of
// a bad value its methods return the default, so that reading goes on.
type optionReader struct {
	options url.Values
	errs    []error
}

// refuseForeign refuses the options of other framings: whoever wrote them
// believes in an effect that they do not have.
func (r *optionReader) refuseForeign(framing string, own []string) {
	for _, name := range Options() {
		if r.options.Has(name) && !slices.Contains(own, name) {
			r.refuse(name, "not an option of framing=%s but of %s", framing, strings.Join(takers(name), ", "))
		}
	}
}

func (r *optionReader) refuse(name, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	r.errs = append(r.errs, badOption("%s=%q: %s", name, r.options.Get(name), reason))
}

// value returns the single value of an option, and whether there is one.
func (r *optionReader) value(name string) (string, bool) {
	values := r.options[name]
	if len(values) > 1 {
		r.errs = append(r.errs, badOption("%s=%q: given %d times, allowed is once", name, values, len(values)))
	}
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// bytes reads a number of bytes, 1 to MaxMessageLimit.
func (r *optionReader) bytes(name string, missing int) int {
	value, ok := r.value(name)
	if !ok {
		return missing
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n < 1 || n > MaxMessageLimit {
		r.refuse(name, "allowed are 1 to %d bytes", MaxMessageLimit)
		return missing
	}
	return int(n)
}

// byteString reads 1 to longest bytes of any values. Without a value it is nil.
func (r *optionReader) byteString(name string, longest int) []byte {
	value, ok := r.value(name)
	if !ok {
		return nil
	}
	if len(value) < 1 || len(value) > longest {
		r.refuse(name, "allowed are 1 to %d bytes", longest)
		return nil
	}
	return []byte(value)
}

// choice reads one of a few words.
func (r *optionReader) choice(name, missing string, allowed ...string) string {
	value, ok := r.value(name)
	if !ok {
		return missing
	}
	if !slices.Contains(allowed, value) {
		r.refuse(name, "allowed are %s", strings.Join(allowed, ", "))
		return missing
	}
	return value
}
