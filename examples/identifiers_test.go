package examples_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// variables maps names of variables in the guide to their types.
var variables = map[string]string{"call": "hauberk.Call", "chain": "hauberk.Chain", "ctx": "context.Context"}

// generated are the packages of the reader's own program.
var generated = []string{"pb"}

// TestGuideIdentifiers: the Go identifiers in the code of the guide, such as
// retry.Config.Jitter or call.Reply, are in the source.
func TestGuideIdentifiers(t *testing.T) {
	known := exported(t)
	selector := regexp.MustCompile(`(?:^|[^\w./])([a-z]\w*)((?:\.[A-Z]\w*)+)`)
	checked := 0
	for _, span := range spans(guide(t)) {
		for _, m := range selector.FindAllStringSubmatch(span, -1) {
			from := m[1]
			if slices.Contains(generated, from) {
				continue
			}
			if typ, ok := variables[from]; ok {
				from = typ
			}
			checked++
			if !known[from+m[2]] {
				t.Errorf("%s: %s in %q is not in the source", fromGRPCio, from+m[2], span)
			}
		}
	}
	t.Logf("checked %d identifiers", checked)
	if checked < 200 {
		t.Errorf("found %d identifiers in the guide; want more: does the pattern still match?", checked)
	}
}

// exported returns the exported names of the packages that the guide names:
// "retry.Config", "retry.Config.Jitter".
func exported(t *testing.T) map[string]bool {
	t.Helper()
	const grpcGo = "google.golang.org/grpc"
	dirs := strings.Fields(command(t, "go", "list", "-f", "{{.Dir}}", "context", "errors", "io", "time", grpcGo,
		grpcGo+"/codes", grpcGo+"/credentials/insecure", grpcGo+"/metadata", grpcGo+"/status"))
	folders, err := filepath.Glob("../interceptors/*")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, dir := range slices.Concat(dirs, folders, []string{"..", "../callexpr", "../callkey", "../future", "../gateway"}) {
		addPackage(t, names, dir)
	}
	return names
}

// addPackage adds the exported names of the package in a folder.
func addPackage(t *testing.T, names map[string]bool, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !isSource(entry) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			addDecl(names, file.Name.Name+".", decl)
		}
	}
}

func isSource(entry fs.DirEntry) bool {
	name := entry.Name()
	return !entry.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
}

func addDecl(names map[string]bool, prefix string, decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv != nil {
			prefix += receiver(decl.Recv.List[0].Type) + "."
		}
		names[prefix+decl.Name.Name] = true
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names[prefix+name.Name] = true
				}
			case *ast.TypeSpec:
				names[prefix+spec.Name.Name] = true
				addMembers(names, prefix+spec.Name.Name+".", spec.Type)
			}
		}
	}
}

// addMembers adds the fields of a struct and the methods of an interface.
func addMembers(names map[string]bool, prefix string, typ ast.Expr) {
	var list *ast.FieldList
	switch typ := typ.(type) {
	case *ast.StructType:
		list = typ.Fields
	case *ast.InterfaceType:
		list = typ.Methods
	default:
		return
	}
	for _, field := range list.List {
		for _, name := range field.Names {
			names[prefix+name.Name] = true
		}
	}
}

// receiver returns the name of a receiver's type, without its parameters.
func receiver(typ ast.Expr) string {
	switch typ := typ.(type) {
	case *ast.StarExpr:
		return receiver(typ.X)
	case *ast.IndexExpr:
		return receiver(typ.X)
	case *ast.Ident:
		return typ.Name
	default:
		return ""
	}
}
