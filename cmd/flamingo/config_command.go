package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"flamingo/cluster/trust"
	"flamingo/node/admin"

	"github.com/alecthomas/kong"
)

// configCommand is about the settings of flamingo run.
type configCommand struct {
	Show  configShowCommand  `cmd:"" default:"withargs" help:"Every setting, and where its value comes from."`
	Check configCheckCommand `cmd:"" help:"Whether a node would start with these settings; opens nothing."`
	Env   configEnvCommand   `cmd:"" help:"The settings that are no defaults as variables of the environment."`
	Init  configInitCommand  `cmd:"" help:"Write a file of settings that has every key, as a comment with its default."`
	Doc   configDocCommand   `cmd:"" help:"Every setting as a table in Markdown."`
}

// settingsFlags say which settings: those that flamingo run would have.
type settingsFlags struct {
	Config string   `short:"c" env:"FLAMINGO_CONFIG" placeholder:"FILE" help:"File of settings, in YAML."`
	Flags  []string `arg:"" optional:"" placeholder:"FLAG" help:"Flags of flamingo run, behind --, such as -- --expect 3."`
}

// settle returns the settings that flamingo run would have, and where each comes
// from.
func (f *settingsFlags) settle(ctx context.Context, con *console) (*runCommand, *origins, error) {
	args := []string{"run"}
	if f.Config != "" {
		args = append(args, "--config", f.Config)
	}
	var cli commands
	own := newConsole(con.in, con.out, con.talk)
	helped := false
	parser, err := newParser(ctx, &cli, own, func(int) { helped = true })
	if err != nil {
		return nil, nil, fmt.Errorf("command line: %w", err)
	}
	_, err = parser.Parse(append(args, f.Flags...))
	switch {
	case helped:
		return nil, nil, badUse("--help says nothing of settings here: flamingo run --help does")
	case err != nil:
		return nil, nil, wrongUse(err)
	}
	return &cli.Run, &own.origins, nil
}

// configShowCommand shows settings.
type configShowCommand struct {
	settingsFlags
	apiFlags

	Running bool `help:"Those that the node at --addr was started with, in place of those that one would have."`
}

// Run prints a table.
func (c *configShowCommand) Run(ctx context.Context, con *console) error {
	all, body, err := c.settings(ctx, con)
	if err != nil {
		return c.failed(con, body, err)
	}
	if c.JSON {
		return json.NewEncoder(con.out).Encode(map[string]any{"settings": all})
	}
	rows := [][]string{{"KEY", "VALUE", "SOURCE"}}
	for _, s := range all {
		rows = append(rows, []string{s.Key, settingText(s.Value, ", "), strings.TrimSpace(s.Source + " " + s.Where)})
	}
	return printTable(con.out, rows)
}

// settings are those of a node that runs, or of one that would.
func (c *configShowCommand) settings(ctx context.Context, con *console) ([]admin.Setting, []byte, error) {
	if !c.Running {
		run, from, err := c.settle(ctx, con)
		if err != nil {
			return nil, nil, err
		}
		return run.shown(from), nil, nil
	}
	if len(c.Flags) > 0 || c.Config != os.Getenv("FLAMINGO_CONFIG") {
		return nil, nil, badUse("--running beside settings: a node that runs has its own")
	}
	body, err := c.call(ctx, request{method: http.MethodGet, path: "config"})
	if err != nil {
		return nil, body, err
	}
	answer, err := decode[struct {
		Settings []admin.Setting `json:"settings"`
	}](body)
	return answer.Settings, nil, err
}

// settingText is a value as text; a list has sep between its parts.
func settingText(value any, sep string) string {
	switch v := value.(type) {
	case []string:
		return strings.Join(v, sep)
	case []any: // as JSON has it
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = fmt.Sprint(part)
		}
		return strings.Join(parts, sep)
	case float64:
		return fmt.Sprintf("%.0f", v) // all are whole numbers
	default:
		return fmt.Sprint(v)
	}
}

// configCheckCommand checks settings.
type configCheckCommand struct {
	settingsFlags
}

// Help is the end of the help text.
func (*configCheckCommand) Help() string {
	return `Everything that is wrong is said at once, and the exit code is then 2. Files that the settings name are read. ` +
		`What has to be tried, such as ports, flamingo check host tries.`
}

// Run says that all is well, or what is not.
func (c *configCheckCommand) Run(ctx context.Context, con *console) error {
	run, _, err := c.settle(ctx, con)
	if err != nil {
		return err
	}
	if err := run.faults(); err != nil {
		return usageError{error: err}
	}
	_, err = fmt.Fprintln(con.out, "ok: a node would start with these settings")
	return err
}

// faults is everything that is wrong with the settings and the files that they
// name.
func (r *runCommand) faults() error {
	faults := []error{r.check()}
	opts, err := r.opts()
	if err == nil {
		err = opts.Check()
	}
	faults = append(faults, err)
	if r.TokenFile != "" {
		_, err := readTokens(r.TokenFile)
		faults = append(faults, because("--token-file", "admin.token_file", err))
	} else if host, _, err := net.SplitHostPort(r.Admin); err != nil {
		faults = append(faults, badUse("--admin %s (key admin.address): want HOST:PORT", r.Admin))
	} else if !isLoopback(host) {
		faults = append(faults, badUse("--admin %s (key admin.address): beyond loopback who asks needs a token; give --token-file FILE, or listen on 127.0.0.1", r.Admin))
	}
	if r.ClusterKeyFile != "" {
		_, err := trust.LoadKeys(r.ClusterKeyFile)
		faults = append(faults, because("--cluster-key-file", "cluster.key_file", err))
	}
	if r.ClusterTLSCert != "" && r.ClusterTLSKey != "" {
		_, err := tls.LoadX509KeyPair(r.ClusterTLSCert, r.ClusterTLSKey)
		faults = append(faults, because("--cluster-tls-cert", "cluster.tls_cert", err))
	}
	return errors.Join(faults...)
}

// because says which setting an error is about.
func because(option, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s (key %s): %w", option, key, err)
}

// configEnvCommand prints settings for a process that gets no file.
type configEnvCommand struct {
	settingsFlags

	All bool `help:"Those that are defaults, too."`
}

// Run prints a line for each: FLAMINGO_NAME='value', for a shell.
func (c *configEnvCommand) Run(ctx context.Context, con *console) error {
	run, from, err := c.settle(ctx, con)
	if err != nil {
		return err
	}
	flags, err := runFlags(ctx, con)
	if err != nil {
		return err
	}
	for _, s := range run.shown(from) {
		flag := flags[s.Key]
		sep := ","
		if flag.Tag.Sep == -1 { // as fromText reads it
			sep = " "
		}
		text := settingText(s.Value, sep)
		if (s.Source == "default" && !c.All) || text == "" {
			continue
		}
		if _, err := fmt.Fprintf(con.out, "%s=%s\n", envName(flag), quoted(text)); err != nil {
			return err
		}
	}
	return nil
}

// quoted is text as a word of a shell.
func quoted(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,@%+="
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// runFlags returns the flags of run that are settings, by key.
func runFlags(ctx context.Context, con *console) (map[string]*kong.Flag, error) {
	parser, err := newParser(ctx, &commands{}, con, func(int) {})
	if err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	for _, command := range parser.Model.Children {
		if command.Name == "run" {
			return settings(command.Flags), nil
		}
	}
	return nil, errors.New("command line: there is no command run")
}

// sortedKeys are the keys in the order of a file: those of no section first.
func sortedKeys(flags map[string]*kong.Flag) []string {
	keys := make([]string, 0, len(flags))
	for key := range flags {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		inA, inB := strings.Contains(a, "."), strings.Contains(b, ".")
		switch {
		case inA == inB:
			return strings.Compare(a, b)
		case inA:
			return 1
		default:
			return -1
		}
	})
	return keys
}
