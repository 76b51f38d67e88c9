package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A source is a file as its author sees it.
type source struct {
	path  string
	lines []string
}

// A fileError says what is wrong with a file, and where.
type fileError struct {
	file   *source
	line   int // from 1
	column int // from 1, in characters
	what   string
	advice string // may be empty
}

// at returns a fault at a place in the file.
func (s *source) at(p *token.Position, what, advice string) error {
	return &fileError{file: s, line: p.Line, column: p.Column, what: what, advice: advice}
}

// Error shows the line between its neighbours, with a caret under the place.
func (f *fileError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", f.file.path, f.line, f.column, f.what)
	for n := max(f.line-1, 1); n <= min(f.line+1, len(f.file.lines)); n++ {
		mark := " "
		if n == f.line {
			mark = ">"
		}
		text := strings.TrimRight(f.file.lines[n-1], "\r")
		fmt.Fprintf(&b, "\n%s", strings.TrimRight(fmt.Sprintf("%s %4d | %s", mark, n, text), " "))
		if n == f.line {
			fmt.Fprintf(&b, "\n       | %s^", blanks(text, f.column-1))
		}
	}
	if f.advice != "" {
		b.WriteString("\n" + f.advice)
	}
	return b.String()
}

// blanks is as wide as the first n characters of text: tabs stay tabs.
func blanks(text string, n int) string {
	var b strings.Builder
	for _, r := range text {
		if n--; n < 0 {
			break
		}
		if r != '\t' && !unicode.Is(unicode.Mn, r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// start is where a node begins: a mapping at its first key, not at the colon.
func start(n ast.Node) *token.Position {
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return start(v.Values[0])
		}
	case *ast.MappingValueNode:
		return start(v.Key)
	}
	return n.GetToken().Position
}
