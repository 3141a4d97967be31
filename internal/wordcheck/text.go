package main

import (
	"go/scanner"
	"go/token"
	"path"
	"regexp"
	"strings"
)

// kind is how the text of a file is found.
type kind int

const (
	kindNone  kind = iota // not checked
	kindGo                // comments, string literals and exported identifiers
	kindPlain             // everything
)

// ignored matches the paths that are not checked: generated code and data, what others
// wrote, data that tests compare with, and the rules themselves.
var ignored = regexp.MustCompile(
	`\.pb\.go$|_pb2(_grpc)?\.py$|(^|/)testdata/|(^|/)LICENSE|(^|/)node_modules/|^internal/wordcheck/`)

func kindOf(name string) kind {
	if ignored.MatchString(name) {
		return kindNone
	}
	switch path.Ext(name) {
	case ".go":
		return kindGo
	case ".md", ".sh", ".py", ".proto", ".yml", ".yaml", ".mod", ".html", ".css", ".js":
		return kindPlain
	}
	switch base := path.Base(name); {
	case base == "Makefile", base == "Dockerfile", name == ".ci/run":
		return kindPlain
	case strings.HasPrefix(name, "deploy/") && path.Ext(name) == ".json": // titles and descriptions of panels
		return kindPlain
	}
	return kindNone
}

// passage is a piece of text in which each run of white space is one space, so that a rule
// matches over the end of a line.
type passage struct {
	text   []byte
	source []int // source[i] is the offset in the file of text[i]
	name   bool  // the passage is an exported identifier
}

// add appends text that begins at an offset of the file.
func (p *passage) add(text string, offset int) {
	for i := range len(text) {
		c := text[i]
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			if n := len(p.text); n == 0 || p.text[n-1] == ' ' {
				continue
			}
			c = ' '
		}
		p.text = append(p.text, c)
		p.source = append(p.source, offset+i)
	}
}

// space separates two parts of a passage.
func (p *passage) space(offset int) { p.add(" ", offset) }

// plainPassages returns the paragraphs of a text. Markers of comments are not part of them.
func plainPassages(src string) []passage {
	var all []passage
	var current passage
	offset := 0
	for line := range strings.Lines(src) {
		text := strings.TrimLeft(line, " \t#/*>|-")
		if strings.TrimSpace(text) == "" {
			all = append(all, current)
			current = passage{}
		} else {
			current.space(offset)
			current.add(linkTarget.ReplaceAllStringFunc(text, blank), offset+len(line)-len(text))
		}
		offset += len(line)
	}
	return append(all, current)
}

// linkTarget matches the address of a markdown link: file names and URLs are not prose.
var linkTarget = regexp.MustCompile(`\]\([^)]*\)`)

// blank returns as many bytes as s has, none of which a rule matches.
func blank(s string) string { return strings.Repeat("_", len(s)) }

// goPassages returns the comments, the string literals and the exported identifiers of a Go
// file. Comments on consecutive lines are one passage, and so are literals joined by +.
func goPassages(src string) []passage {
	var g goText
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(src))
	var s scanner.Scanner
	s.Init(file, []byte(src), nil, scanner.ScanComments)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			g.flush()
			return g.all
		}
		g.token(file.Line(pos), file.Offset(pos), tok, lit)
	}
}

// goText collects passages from the tokens of a Go file.
type goText struct {
	all     []passage
	current passage
	what    token.Token // COMMENT or STRING: what current consists of
	line    int         // the last line of current
}

func (g *goText) token(line, offset int, tok token.Token, lit string) {
	switch tok {
	case token.COMMENT:
		if g.what != token.COMMENT || line > g.line+1 || strings.TrimLeft(lit, "/ \t") == "" {
			g.flush()
		}
		g.append(tok, offset, strings.TrimLeft(lit, "/*"), len(lit)-len(strings.TrimLeft(lit, "/*")))
		g.line = line + strings.Count(lit, "\n")
	case token.STRING:
		if g.what != token.STRING {
			g.flush()
		}
		if len(g.current.text) > 0 { // the text before + and the text after it are adjacent
			g.current.add(unescaped(lit[1:len(lit)-1]), offset+1)
			return
		}
		g.append(tok, offset, unescaped(lit[1:len(lit)-1]), 1)
	case token.ADD:
	case token.IDENT:
		g.flush()
		if token.IsExported(lit) {
			p := passage{name: true}
			p.add(lit, offset)
			g.all = append(g.all, p)
		}
	case token.SEMICOLON:
		if lit != "\n" || g.what != token.COMMENT {
			g.flush()
		}
	default:
		g.flush()
	}
}

// append adds a token's text, which begins skip bytes after the token.
func (g *goText) append(what token.Token, offset int, text string, skip int) {
	g.what = what
	g.current.space(offset)
	g.current.add(text, offset+skip)
}

func (g *goText) flush() {
	if len(g.current.text) > 0 {
		g.all = append(g.all, g.current)
	}
	g.current, g.what = passage{}, token.ILLEGAL
}

// escape matches what a literal has in place of a character, such as \n.
var escape = regexp.MustCompile(`\\.`)

func unescaped(lit string) string { return escape.ReplaceAllString(lit, "  ") }
