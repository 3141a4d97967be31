package examples_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadingTheSource: each step of the walks names a function that is in the named file.
func TestReadingTheSource(t *testing.T) {
	const page = "../docs/reading-the-source.md"
	step := regexp.MustCompile("(?m)^\\| `([a-z_]+\\.go)` \\| `([\\w.]+)` \\| [^|]+ \\|$")
	steps := step.FindAllStringSubmatch(read(t, page), -1)
	if rows := strings.Count(read(t, page), "\n| `"); len(steps) != rows || rows < 30 {
		t.Errorf("%s: %d of %d rows are steps; want all, and at least 30", page, len(steps), rows)
	}
	names := make(map[string]map[string]bool)
	for _, s := range steps {
		file, function := s[1], s[2]
		if names[file] == nil {
			names[file] = functions(t, filepath.Join("..", file))
		}
		if !names[file][function] {
			t.Errorf("%s: %s has no function %s", page, file, function)
		}
	}
}

// functions returns the functions of a file: "New", "Chain.NewServer".
func functions(t *testing.T, path string) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			addDecl(names, "", f)
		}
	}
	return names
}
