package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// groups are the titles under which the help texts list commands and flags.
var groups = []kong.Group{
	{Key: "start", Title: "Start:"},
	{Key: "talk", Title: "Talk:"},
	{Key: "look", Title: "Look:"},
	{Key: "mend", Title: "Mend:"},
	{Key: "configure", Title: "Configure:"},
	{Key: "secure", Title: "Secure:"},
	{Key: "measure", Title: "Measure:"},
	{Key: "clients", Title: "Clients:"},
	{Key: "cluster", Title: "Cluster:"},
	{Key: "admin", Title: "Admin:"},
	{Key: "limits", Title: "Limits:"},
	{Key: "log", Title: "Log:"},
}

// runIn parses args and runs the command they name at the console.
func runIn(ctx context.Context, args []string, con *console) error {
	helped := false
	parser, err := newParser(ctx, &commands{}, con, func(int) { helped = true }) // only main exits
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	chosen, err := parser.Parse(canonical(args))
	switch {
	case helped:
		return nil
	case err != nil:
		return wrongUse(err)
	}
	return chosen.Run()
}

func newParser(ctx context.Context, cli *commands, con *console, exit func(int)) (*kong.Kong, error) {
	return kong.New(cli,
		kong.Name("flamingo"),
		kong.Description("A fabric of long-lived connections: each has an id, and any node sends to any of them."),
		kong.ExplicitGroups(groups),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(describeValue),
		kong.Vars{"default_listen": defaultListen},
		kong.Writers(con.out, con.talk),
		kong.Exit(exit),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(con.out, (*io.Writer)(nil)),
		kong.Bind(con),
	)
}

// synonyms are names of commands that are taken too and listed nowhere.
var synonyms = map[string]string{"conn": "conns", "connections": "conns", "node": "nodes", "members": "nodes", "help": "--help"}

// canonical returns args under the names that the parser knows. Nothing asks
// for help.
func canonical(args []string) []string {
	if len(args) == 0 {
		return []string{"--help"}
	}
	if name, ok := synonyms[args[0]]; ok {
		return append([]string{name}, args[1:]...)
	}
	return args
}

// wrongUse makes an error of the parser one for the user.
func wrongUse(err error) error {
	command := "flamingo"
	var fault *kong.ParseError
	if errors.As(err, &fault) {
		err = fault.Unwrap()
		if node := fault.Context.Selected(); node != nil {
			command = node.FullPath()
		}
	}
	return usageError{error: err, hint: command + " --help says more"}
}

// describeValue is the help text of a flag: with its key in the file, if it has
// one, or its environment variable.
func describeValue(v *kong.Value) string {
	if key := v.Tag.Get(keyTag); key != "" {
		return fmt.Sprintf("%s [%s]", v.Help, key)
	}
	return kong.DefaultHelpValueFormatter(v)
}
