package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// A setting of `flamingo run` is one field of runCommand: a flag, a variable of
// the environment and, if the field has the tag keyTag, a key of the file. What
// the flag does not say the variable does, then the file, then the default.
const (
	keyTag    = "key"
	envPrefix = "FLAMINGO_"
)

// envName returns the variable of a flag: FLAMINGO_CLUSTER_NAME of
// --cluster-name.
func envName(flag *kong.Flag) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
}

// settings returns the flags of a command that are settings, by their keys.
func settings(flags []*kong.Flag) map[string]*kong.Flag {
	all := make(map[string]*kong.Flag)
	for _, f := range flags {
		if key := f.Tag.Get(keyTag); key != "" {
			all[key] = f
		}
	}
	return all
}

// BeforeResolve finds what no flag says: in the environment, else in the file.
// The resolver that was added last decides.
func (r *runCommand) BeforeResolve(ctx *kong.Context, trace *kong.Path, con *console) error {
	flags := settings(trace.Flags)
	con.origins = origins{given: givenFlags(ctx), variables: make(map[string]bool)}
	if path := configPath(ctx, trace.Flags); path != "" {
		file, err := loadConfig(path, flags)
		if err != nil {
			return err
		}
		ctx.AddResolver(fromFile(file))
		con.origins.path, con.origins.file = path, file
	}
	for key, flag := range flags {
		con.origins.variables[key] = os.Getenv(envName(flag)) != ""
	}
	env, err := fromEnv(flags)
	if err != nil {
		return err
	}
	ctx.AddResolver(env)
	return nil
}

// configPath returns the path of the file, empty if there is none.
func configPath(ctx *kong.Context, flags []*kong.Flag) string {
	i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == "config" })
	if path, ok := ctx.FlagValue(flags[i]).(string); ok && path != "" {
		return path
	}
	return os.Getenv(envName(flags[i]))
}

// fromFile resolves flags by their keys in the file.
func fromFile(values map[string]any) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		return values[flag.Tag.Get(keyTag)], nil
	})
}

// fromEnv resolves flags by their variables, which it has checked.
func fromEnv(flags map[string]*kong.Flag) (kong.Resolver, error) {
	values := make(map[*kong.Flag]any)
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		flag := flags[key]
		text := os.Getenv(envName(flag))
		if text == "" {
			continue
		}
		values[flag] = fromText(flag, text)
		if err := check(flag, values[flag]); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", envName(flag), err))
		}
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		return values[flag], nil
	}), errors.Join(faults...)
}

// fromText is the value of a flag as a text of the environment: listeners, in
// which commas may stand, are parted by blanks.
func fromText(flag *kong.Flag, text string) any {
	if !flag.IsSlice() || flag.Tag.Sep != -1 {
		return text
	}
	var list []any
	for part := range strings.FieldsSeq(text) {
		list = append(list, part)
	}
	return list
}

// check says what is wrong with a value for a flag, without setting it.
func check(flag *kong.Flag, value any) error {
	target := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(value, kong.FlagValueToken)
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, target); err != nil {
		return wanted(flag, value, err)
	}
	got := fmt.Sprint(target)
	if flag.Enum != "" && !slices.Contains(flag.EnumSlice(), got) {
		return fmt.Errorf("%q is none of %s", got, strings.Join(flag.EnumSlice(), ", "))
	}
	return nil
}

// wanted says what a value should be that a flag does not take.
func wanted(flag *kong.Flag, value any, err error) error {
	want := ""
	switch flag.Target.Interface().(type) {
	case int:
		want = "a whole number"
	case bool:
		want = "true or false"
	case time.Duration:
		want = "a time with its unit, such as 30s or 5m"
	case slog.Level:
		want = "debug, info, warn or error"
	default:
		return err
	}
	return fmt.Errorf("want %s, not %q", want, value)
}
