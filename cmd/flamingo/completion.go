package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand has a shell complete commands. The shell asks this program
// for the words, so that they are always those of the release that is there.
type completionCommand struct {
	Shell string   `arg:"" enum:"bash,zsh,fish,words" help:"bash, zsh or fish."`
	Words []string `arg:"" optional:"" hidden:"" help:"What has been typed behind the name of the program, the word to complete last: for words, which the scripts ask for."`
}

// Help is the end of the help text.
func (*completionCommand) Help() string {
	return `For bash: source <(flamingo completion bash), in ~/.bashrc to keep it. For zsh: the same, in ~/.zshrc behind ` +
		`compinit. For fish: flamingo completion fish > ~/.config/fish/completions/flamingo.fish.`
}

// completionScripts are what each shell reads.
var completionScripts = map[string]string{
	"bash": `_flamingo() {
  local IFS=$'\n'
  COMPREPLY=($(flamingo completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _flamingo flamingo
`,
	"zsh": `#compdef flamingo
_flamingo() {
  local -a found
  found=("${(@f)$(flamingo completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then
    compadd -- "${found[@]}"
  else
    _files
  fi
}
compdef _flamingo flamingo
`,
	"fish": `function __flamingo_words
  set -l typed (commandline -opc)
  flamingo completion words -- $typed[2..-1] (commandline -ct | string collect --allow-empty) 2>/dev/null
end
complete -c flamingo -a '(__flamingo_words)'
`,
}

// Run prints the script, or the words.
func (c *completionCommand) Run(ctx context.Context, con *console) error {
	if script, ok := completionScripts[c.Shell]; ok {
		if len(c.Words) > 0 {
			return badUse("completion %s %s: want nothing behind the shell", c.Shell, strings.Join(c.Words, " "))
		}
		_, err := fmt.Fprint(con.out, script)
		return err
	}
	parser, err := newParser(ctx, &commands{}, con, func(int) {})
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	for _, word := range complete(parser.Model.Node, c.Words) {
		if _, err := fmt.Fprintln(con.out, word); err != nil {
			return err
		}
	}
	return nil
}

// complete returns what the last of the words may become: commands, flags, or
// the values of a flag that has few. Nothing means that a file may be meant.
func complete(at *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	var open *kong.Flag // whose value is the next word
	for _, word := range words[:len(words)-1] {
		switch {
		case word == "--":
			return nil
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "-"):
			open = takesValue(at, word)
		default:
			if child := childOf(at, word); child != nil {
				at = child
			}
		}
	}
	var found []string
	switch name, _, assigned := strings.Cut(last, "="); {
	case open != nil:
		found = enumOf(open)
	case assigned && strings.HasPrefix(name, "--"):
		if f := flagOf(at, name); f != nil {
			for _, v := range enumOf(f) {
				found = append(found, name+"="+v)
			}
		}
	case strings.HasPrefix(last, "-"):
		for _, f := range flagsAt(at) {
			found = append(found, "--"+f.Name)
		}
	default:
		for _, child := range at.Children {
			if child.Type == kong.CommandNode && !child.Hidden {
				found = append(found, child.Name)
			}
		}
		for _, p := range at.Positional {
			found = append(found, enumOfValue(p)...)
		}
	}
	found = slices.DeleteFunc(found, func(word string) bool { return !strings.HasPrefix(word, last) })
	slices.Sort(found)
	return slices.Compact(found)
}

func childOf(at *kong.Node, name string) *kong.Node {
	for _, child := range at.Children {
		if child.Type == kong.CommandNode && child.Name == name {
			return child
		}
	}
	return nil
}

// flagsAt are the flags of a command, of those around it, and of the one that is
// meant if no other is named.
func flagsAt(at *kong.Node) (all []*kong.Flag) {
	groups := at.AllFlags(true)
	if at.DefaultCmd != nil {
		groups = append(groups, at.DefaultCmd.Flags)
	}
	for _, group := range groups {
		all = append(all, group...)
	}
	return all
}

// flagOf returns the flag that is written so: --name, or -n.
func flagOf(at *kong.Node, word string) *kong.Flag {
	for _, f := range flagsAt(at) {
		if word == "--"+f.Name || (f.Short != 0 && word == "-"+string(f.Short)) {
			return f
		}
	}
	return nil
}

// takesValue returns the flag whose value is the word behind this one.
func takesValue(at *kong.Node, word string) *kong.Flag {
	f := flagOf(at, word)
	if f == nil || f.IsBool() {
		return nil
	}
	return f
}

func enumOf(f *kong.Flag) []string { return enumOfValue(f.Value) }

// enumOfValue are the values that are allowed, if these are few; without those
// that are not for people.
func enumOfValue(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(word string) bool { return word == "words" })
}
