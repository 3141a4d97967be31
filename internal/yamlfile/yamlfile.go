// Package yamlfile reads configuration files in YAML. It reports everything that is wrong with a
// file, each with its place: "file:line:column: what, and what would be right". Anchors, aliases,
// merge keys, tags and several documents in a file are errors.
package yamlfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// MaxSize is the size of the largest file, in bytes.
const MaxSize = 1 << 20

// maxDepth is the greatest number of values inside each other.
const maxDepth = 100

// maxFlaws bounds what is reported of a file. The rest is counted.
const maxFlaws = 200

// File is a file that is read, and what is wrong with it.
type File struct {
	name  string
	depth int // the greatest number of values inside each other
	root  *yaml.Node
	flaws []flaw
	more  int // flaws beyond maxFlaws
}

// flaw is what is wrong at a place.
type flaw struct {
	line, column int
	text         string
	at           Value // that has it, or none
}

// Parse reads a file. name is for errors. [File.Err] reports what is wrong.
func Parse(name string, data []byte) *File { return ParseDepth(name, data, maxDepth) }

// ParseDepth is [Parse] for files with at most the given number of values inside each other.
func ParseDepth(name string, data []byte, depth int) *File {
	f := &File{name: name, depth: depth}
	if len(data) > MaxSize {
		f.failf(1, 1, "the file has %d bytes; want at most %d", len(data), MaxSize)
		return f
	}
	document, err := f.load(data)
	switch {
	case err != nil:
		f.failBy(err)
		return f
	case document == nil || document.Kind != yaml.DocumentNode || len(document.Content) != 1:
		f.failf(1, 1, "the file is empty")
		return f
	}
	f.check(document.Content[0], 0)
	if f.flaws == nil {
		f.root = document.Content[0]
	}
	return f
}

// load returns the one document of a file, or nil.
func (f *File) load(data []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var document, next yaml.Node
	if err := loader.Load(&document); errors.Is(err, io.EOF) {
		return nil, nil //nolint:nilnil // the caller checks for nil
	} else if err != nil {
		return nil, err
	}
	if err := loader.Load(&next); err == nil {
		f.failf(max(next.Line, 1), max(next.Column, 1), "the file has a second document; want one")
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &document, nil
}

// failBy records an error of the YAML library.
func (f *File) failBy(err error) {
	if all, ok := errors.AsType[*yaml.LoadErrors](err); ok {
		for _, e := range all.Errors {
			f.failAt(e)
		}
		return
	}
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		f.failAt(e)
		return
	}
	f.failf(1, 1, "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
}

func (f *File) failAt(e *yaml.LoadError) {
	f.failf(max(e.Mark.Line, 1), max(e.Mark.Column, 1), "not YAML: %s", e.Message)
}

// check reports what files do not have.
func (f *File) check(n *yaml.Node, depth int) {
	v := Value{file: f, node: n}
	switch {
	case depth > f.depth:
		v.Errorf("values are nested deeper than %d", f.depth)
		return
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		v.Errorf("anchors and aliases are not supported; write the value again")
	case n.Style&yaml.TaggedStyle != 0:
		v.Errorf("the tag %.100q is not supported", n.Tag)
	}
	for _, child := range n.Content {
		f.check(child, depth+1)
	}
}

func (f *File) failf(line, column int, format string, args ...any) {
	if len(f.flaws) == maxFlaws {
		f.more++
		return
	}
	f.flaws = append(f.flaws, flaw{line: line, column: column, text: fmt.Sprintf(format, args...)})
}

// Rewrite replaces the texts of what is wrong so far. at is the value that has it, or one of no kind.
func (f *File) Rewrite(text func(at Value, text string) string) {
	for i := range f.flaws {
		f.flaws[i].text = text(f.flaws[i].at, f.flaws[i].text)
	}
}

// Root returns the value of the file. It has no content if the file cannot be read.
func (f *File) Root() Value { return Value{file: f, node: f.root} }

// Err returns everything that is wrong, in the order of the file, a line each.
func (f *File) Err() error {
	if len(f.flaws) == 0 {
		return nil
	}
	flaws := slices.Clone(f.flaws)
	slices.SortStableFunc(flaws, func(a, b flaw) int {
		return cmp.Or(a.line-b.line, a.column-b.column)
	})
	flaws = slices.CompactFunc(flaws, func(a, b flaw) bool {
		return a.line == b.line && a.column == b.column && a.text == b.text
	})
	errs := make([]error, 0, len(flaws)+1)
	for _, e := range flaws {
		errs = append(errs, fmt.Errorf("%s:%d:%d: %s", f.name, e.line, e.column, e.text))
	}
	if last := flaws[len(flaws)-1]; f.more > 0 {
		errs = append(errs, fmt.Errorf("%s:%d:%d: %d more errors are not listed",
			f.name, last.line, last.column, f.more))
	}
	return errors.Join(errs...)
}
