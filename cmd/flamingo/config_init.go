package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// helpWidth is how wide the comments of a file of settings are, in characters.
const helpWidth = 96

// configInitCommand writes a file to begin with.
type configInitCommand struct {
	File string `arg:"" optional:"" help:"Where to write it, which must be free; without it to standard output."`
}

// Run writes it.
func (c *configInitCommand) Run(ctx context.Context, con *console) error {
	flags, err := runFlags(ctx, con)
	if err != nil {
		return err
	}
	text := settingsFile(flags)
	if c.File == "" {
		_, err := fmt.Fprint(con.out, text)
		return err
	}
	if err := writeNew(c.File, []byte(text), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(con.talk, "settings written to %s, all of them comments: a node with it is one without. Next: %s run -c %s\n", c.File, program(), c.File)
	return err
}

// settingsFile is a file of settings with every key, all of them comments.
func settingsFile(flags map[string]*kong.Flag) string {
	var b strings.Builder
	b.WriteString("# Settings of flamingo run. Every key is optional: those that are comments show the default.\n")
	section := ""
	for _, key := range sortedKeys(flags) {
		flag := flags[key]
		in, name, ok := strings.Cut(key, ".")
		indent := "  "
		if !ok {
			in, name, indent = "", key, ""
		}
		b.WriteByte('\n')
		if in != section {
			section = in
			fmt.Fprintf(&b, "#%s:\n", in)
		}
		for _, line := range wrap(flag.Help, helpWidth-len(indent)-4) {
			fmt.Fprintf(&b, "%s# %s\n", indent, line)
		}
		fmt.Fprintf(&b, "#%s%s: %s\n", indent, name, yamlDefault(flag))
	}
	return b.String()
}

// yamlDefault is the default of a flag as YAML has it.
func yamlDefault(flag *kong.Flag) string {
	switch {
	case flag.IsSlice() && flag.Default == "":
		return "[]"
	case flag.IsSlice():
		return `["` + flag.Default + `"]`
	case flag.IsBool():
		return "false"
	case flag.Default == "" && isNumber(flag):
		return "0"
	case flag.Default == "" && isDuration(flag):
		return "0s"
	case strings.ContainsAny(flag.Default, ":") || flag.Default == "":
		return `"` + flag.Default + `"`
	default:
		return flag.Default
	}
}

func isDuration(flag *kong.Flag) bool { return flag.Target.Type().String() == "time.Duration" }

// isNumber reports whether the flag takes a number: of things, or of bytes.
func isNumber(flag *kong.Flag) bool {
	switch flag.Target.Interface().(type) {
	case int, size:
		return true
	default:
		return false
	}
}

// wrap breaks text into lines of at most so many characters, at blanks.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// configDocCommand is the reference.
type configDocCommand struct{}

// Run prints it.
func (*configDocCommand) Run(ctx context.Context, con *console) error {
	flags, err := runFlags(ctx, con)
	if err != nil {
		return err
	}
	fmt.Fprint(con.out, "| key | flag | variable | default | |\n|---|---|---|---|---|\n")
	for _, key := range sortedKeys(flags) {
		f := flags[key]
		help := strings.NewReplacer("|", `\|`, "$$", "$", "<", `\<`).Replace(f.Help)
		standard := ""
		if f.Default != "" {
			standard = "`" + f.Default + "`"
		}
		if _, err := fmt.Fprintf(con.out, "| `%s` | `--%s` | `%s` | %s | %s |\n", key, f.Name, envName(f), standard, help); err != nil {
			return err
		}
	}
	return nil
}
