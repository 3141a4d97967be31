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

// TestSecurity: each row of the page names tests that exist, in e2e/attacks, in the package of its section, or in
// package policy for what a policy file adds.
func TestSecurity(t *testing.T) {
	const page = "../docs/security.md"
	folder := regexp.MustCompile(`\(\.\./([\w/]+)\)`)
	name := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	attacks, policies := tests(t, "../e2e/attacks"), tests(t, "../policy")
	rows := 0
	for _, section := range strings.Split(read(t, page), "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		link := folder.FindStringSubmatch(section)
		if link == nil {
			t.Errorf("%s: the section %s has no link to its package", page, title)
			continue
		}
		own := tests(t, filepath.Join("..", link[1]))
		for line := range strings.Lines(section) {
			cells := strings.Split(line, "|")
			if len(cells) != 5 || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| guarantee") {
				continue
			}
			rows++
			names := name.FindAllStringSubmatch(cells[3], -1)
			if len(names) == 0 {
				t.Errorf("%s: no test in %q", page, line)
			}
			for _, n := range names {
				if !own[n[1]] && !attacks[n[1]] && !policies[n[1]] {
					t.Errorf("%s: %s: there is no %s in %s, e2e/attacks or policy", page, title, n[1], link[1])
				}
			}
		}
	}
	if rows < 60 {
		t.Errorf("%s: found %d rows; want at least 60", page, rows)
	}
}

// tests returns the names of the tests in a folder.
func tests(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", folder, len(files), err)
	}
	names := make(map[string]bool)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
