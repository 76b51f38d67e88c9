package main

import (
	"reflect"
	"testing"

	"flamingo/node"
)

// notSettings are the options that are no settings of `flamingo run`, and why.
var notSettings = map[string]string{
	"Port":            "Listen says it",
	"BufferSize":      "MaxMessage of framing raw says it",
	"BufferTillDelim": "Framing says it",
	"Delim":           "Framing says it",
	"Codec":           "is code",
	"Ignore":          "is the application's",
	"Waiting":         "is code",
	"Logger":          "is code",
	"Admin":           "is where the admin API has been opened",
}

// settable sets every field of the settings to something, and reports which options
// are then set.
func settable(t *testing.T) map[string]bool {
	t.Helper()
	run := &runCommand{}
	fields := reflect.ValueOf(run).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("line")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"tcp://:1"}))
		case reflect.Int, reflect.Int64:
			f.SetInt(1)
		default:
			t.Fatalf("%s is of a kind that this test does not know: %v", fields.Type().Field(i).Name, f.Kind())
		}
	}
	run.SlowClient = node.SlowDropNewest.String()
	opts, err := run.opts()
	if err != nil {
		t.Fatal(err)
	}
	set := make(map[string]bool)
	options := reflect.ValueOf(opts)
	for i := range options.NumField() {
		set[options.Type().Field(i).Name] = !options.Field(i).IsZero()
	}
	return set
}

func TestEveryOptionOfANodeIsASetting(t *testing.T) {
	for name, set := range settable(t) {
		why, excepted := notSettings[name]
		switch {
		case !set && !excepted:
			t.Errorf("node.Opts.%s is no setting, and no reason is given for that", name)
		case set && excepted && name != "Ignore":
			t.Errorf("node.Opts.%s is a setting, though it %s", name, why)
		}
	}
	for name := range notSettings {
		if _, found := reflect.TypeFor[node.Opts]().FieldByName(name); !found {
			t.Errorf("node.Opts has no %s", name)
		}
	}
}
