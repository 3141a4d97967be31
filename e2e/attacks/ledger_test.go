package attacks_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLedger: README.md has each row once, with tests that exist or with what it waits for, and
// each test of this package in its row.
func TestLedger(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`^\| ([A-Z]\d\d) \| (.+) \| (.+) \| (.+) \|$`)
	name := regexp.MustCompile("`(?:([\\w/]+)\\.)?((?:Test|Fuzz)\\w+)`")
	folders := make(map[string][]string)
	tests := func(folder string) []string {
		if _, ok := folders[folder]; !ok {
			folders[folder] = testsIn(t, folder)
		}
		return folders[folder]
	}
	listed := make(map[string]bool) // tests of this package, by row and name
	rows := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		m := row.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| row |") {
				t.Errorf("the line %q is no row", line)
			}
			continue
		}
		id, held, waits := m[1], m[3], m[4]
		if rows[id] {
			t.Errorf("%s is there twice", id)
		}
		rows[id] = true
		names := name.FindAllStringSubmatch(held, -1)
		if len(names) != strings.Count(held, "`")/2 || len(names) == 0 && (held != "–" || waits == "–") {
			t.Errorf("%s is held by %q and waits for %q; want tests, or a reason", id, held, waits)
		}
		for _, n := range names {
			folder := "."
			switch n[1] {
			case "":
				listed[id+" "+n[2]] = true
			case "hauberk":
				folder = "../.."
			default:
				folder = filepath.Join("..", "..", n[1])
			}
			if !slices.Contains(tests(folder), n[2]) {
				t.Errorf("%s: there is no %s in %s", id, n[2], folder)
			}
		}
	}
	if len(rows) != 98 {
		t.Errorf("there are %d rows; want 98", len(rows))
	}
	id := regexp.MustCompile(`^Test(?:Soak)?([A-Z]\d\d)[A-Z]`)
	for _, test := range tests(".") {
		m := id.FindStringSubmatch(test)
		switch {
		case test == "TestLedger", test == "TestMain":
		case m == nil:
			t.Errorf("%s does not have the id of a row", test)
		case !listed[m[1]+" "+test]:
			t.Errorf("%s is not in the row %s", test, m[1])
		}
	}
}

// testsIn returns the names of the tests in a folder.
func testsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("%s: %d files of tests, %v", folder, len(files), err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
