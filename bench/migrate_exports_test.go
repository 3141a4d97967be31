package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func versionOf(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// publicPackages returns the packages of modules that programs can import. Packages that
// only the modules' own tests use are left out.
func publicPackages(t *testing.T, modules []string) (paths []string) {
	t.Helper()
	for _, module := range modules {
		for _, p := range listed(t, module+"/...") {
			rest := strings.TrimPrefix(p.ImportPath, module)
			if !strings.Contains(rest, "/internal") && !strings.Contains(rest, "/testing") {
				paths = append(paths, p.ImportPath)
			}
		}
	}
	return paths
}

// listedPackage is the output of go list for a package.
type listedPackage struct {
	ImportPath, Dir string
	GoFiles         []string
}

// listed runs go list with the versions of bench/go.mod.
func listed(t *testing.T, patterns ...string) (packages []listedPackage) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-find", "-json=ImportPath,Dir,GoFiles"}, patterns...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", patterns, err, stderr.String())
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p listedPackage
		if err := dec.Decode(&p); err != nil { //nolint:musttag // the fields have the names of go list
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

// exportsOf returns the exported names of packages, as "Name" and "Type.Name" for
// methods, fields and the methods of interfaces.
func exportsOf(t *testing.T, paths ...string) map[string]map[string]bool {
	t.Helper()
	all := make(map[string]map[string]bool)
	for _, p := range listed(t, paths...) {
		names := make(map[string]bool)
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range parsed.Decls {
				addExports(names, decl)
			}
		}
		all[p.ImportPath] = names
	}
	return all
}

func addExports(names map[string]bool, decl ast.Decl) {
	add := func(parts ...string) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !ast.IsExported(part) }) {
			names[strings.Join(parts, ".")] = true
		}
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			add(decl.Name.Name)
		} else {
			add(receiver(decl.Recv.List[0].Type), decl.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					add(name.Name)
				}
			case *ast.TypeSpec:
				add(spec.Name.Name)
				for _, member := range members(spec.Type) {
					add(spec.Name.Name, member)
				}
			}
		}
	}
}

func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	default:
		return ""
	}
}

// members returns the names of the fields of a type, or of the methods of an interface.
func members(t ast.Expr) (names []string) {
	var fields *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		fields = t.Fields
	case *ast.InterfaceType:
		fields = t.Methods
	default:
		return nil
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

// sourceOf returns the text of a package. Names of attributes with a %s occur twice, once
// with each word that replaces it.
func sourceOf(t *testing.T, path string) string {
	t.Helper()
	var all strings.Builder
	for _, p := range listed(t, path) {
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"request", "response"} {
				all.WriteString(strings.ReplaceAll(string(text), "grpc.%s.", "grpc."+word+"."))
			}
		}
	}
	return all.String()
}
