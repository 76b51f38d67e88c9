package main

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"flamingo/node/admin"

	"github.com/alecthomas/kong"
)

// origins are where the settings of a node come from.
type origins struct {
	given     map[string]bool // keys of flags on the command line
	variables map[string]bool // keys of variables that are set
	path      string          // of the file
	file      map[string]any  // its values, by key
}

// givenFlags returns the keys of the flags that the command line has.
func givenFlags(ctx *kong.Context) map[string]bool {
	given := make(map[string]bool)
	for _, p := range ctx.Path {
		if p.Flag != nil && !p.Resolved {
			given[p.Flag.Tag.Get(keyTag)] = true
		}
	}
	return given
}

// of says where a setting comes from: what goes before the others.
func (o *origins) of(key string) (source, where string) {
	_, inFile := o.file[key]
	switch {
	case o.given[key]:
		return "flag", ""
	case o.variables[key]:
		return "environment", ""
	case inFile:
		return "file", o.path
	}
	return "default", ""
}

// shown are the settings of r, by key, as the admin API shows them. None is a secret:
// those are in files.
func (r *runCommand) shown(o *origins) []admin.Setting {
	var all []admin.Setting
	fields := reflect.ValueOf(r).Elem()
	for i := range fields.NumField() {
		key := fields.Type().Field(i).Tag.Get(keyTag)
		if key == "" {
			continue
		}
		s := admin.Setting{Key: key, Value: shownValue(fields.Field(i))}
		s.Source, s.Where = o.of(key)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b admin.Setting) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// shownValue is a value as JSON has it: times and levels are texts, sizes numbers of
// bytes.
func shownValue(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case fmt.Stringer:
		return value.String()
	case encoding.TextMarshaler:
		text, _ := value.MarshalText() // of a level
		return string(text)
	case []string:
		return append([]string{}, value...)
	case size:
		return int(value)
	default:
		return value
	}
}
