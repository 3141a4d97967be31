package rewrite

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/tools/go/packages"
)

const (
	behindPath = "github.com/hauberk-rpc/hauberk/peers/behind"
	grpcPath   = "google.golang.org/grpc"
)

// Counts is how often each rule applied, by the name of the function of package
// behind.
type Counts map[string]int

// Packages rewrites the files of packages, their tests included, in the module at
// dir. Patterns are those of the go command; env is its environment.
func Packages(dir string, env []string, patterns ...string) (Counts, error) {
	fset := token.NewFileSet()
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo,
		Dir: dir, Env: env, Fset: fset, Tests: true,
	}, patterns...)
	if err != nil {
		return nil, err
	}
	counts := make(Counts)
	done := make(map[string]bool) // a file is in its package and in that package's test variant
	for _, pkg := range loaded {
		if len(pkg.Errors) > 0 {
			return nil, fmt.Errorf("%s: %w", pkg.PkgPath, errors.Join(asErrors(pkg.Errors)...))
		}
		for _, file := range pkg.Syntax {
			name := fset.File(file.FileStart).Name()
			if inside, _ := filepath.Rel(dir, name); done[name] || !filepath.IsLocal(inside) {
				continue // a generated main of a test is in the build cache
			}
			done[name] = true
			if err := rewriteFile(name, fset, file, pkg.TypesInfo, counts); err != nil {
				return nil, err
			}
		}
	}
	return counts, nil
}

func asErrors(list []packages.Error) []error {
	errs := make([]error, len(list))
	for i, e := range list {
		errs[i] = e
	}
	return errs
}

func rewriteFile(name string, fset *token.FileSet, file *ast.File, info *types.Info, counts Counts) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	r := &rewriter{fset: fset, info: info, counts: counts, replaced: make(map[*ast.Ident]bool)}
	ast.Inspect(file, r.visit)
	if len(r.edits) == 0 {
		return nil
	}
	r.blankUnused(file)
	at := fset.Position(file.Name.End()).Offset
	r.edits = append(r.edits, edit{at, at, "\n\nimport " + strconv.Quote(behindPath)})
	out, err := format.Source(apply(src, r.edits))
	if err != nil {
		return fmt.Errorf("%s, rewritten: %w", name, err)
	}
	return os.WriteFile(name, out, 0o600)
}

// edit replaces the bytes from one offset to another.
type edit struct {
	from, to int
	text     string
}

func apply(src []byte, edits []edit) []byte {
	// Stable: of two insertions at one place the outer one was made first.
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, src[at:e.from]...), e.text...)
		at = e.to
	}
	return append(out, src[at:]...)
}

// rewriter finds the edits of one file.
type rewriter struct {
	fset     *token.FileSet
	info     *types.Info
	counts   Counts
	edits    []edit
	replaced map[*ast.Ident]bool // qualifiers that are gone
}

func (r *rewriter) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		r.constructor(n)
	case *ast.CallExpr:
		r.call(n)
	}
	return true
}

// constructor replaces the package of a function that package behind has too.
func (r *rewriter) constructor(sel *ast.SelectorExpr) {
	f, ok := r.info.Uses[sel.Sel].(*types.Func)
	if !ok || f.Pkg() == nil || f.Signature().Recv() != nil {
		return
	}
	switch f.Pkg().Path() + "." + f.Name() {
	case grpcPath + ".NewServer", grpcPath + ".NewClient", grpcPath + ".Dial", grpcPath + ".DialContext", "net.Listen":
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return
		}
		r.replaced[x] = true
		r.replace(x, "behind")
		r.counts[f.Name()]++
	}
}

func (r *rewriter) call(call *ast.CallExpr) {
	sig, ok := r.info.TypeOf(call.Fun).(*types.Signature)
	if !ok {
		return // a conversion
	}
	for i, arg := range call.Args {
		if i < sig.Params().Len() && (!sig.Variadic() || i < sig.Params().Len()-1) {
			r.pass(arg, sig.Params().At(i).Type())
		}
	}
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
		r.method(call, sel, sig)
	}
}

// pass wraps an argument by the type of its parameter.
func (r *rewriter) pass(arg ast.Expr, param types.Type) {
	if tv := r.info.Types[arg]; tv.IsNil() {
		return
	}
	switch {
	case isRegistrar(param):
		r.wrap(arg, "Registrar")
	case isNamed(param, grpcPath, "ClientConnInterface"):
		r.wrap(arg, "Conn")
	}
}

// method wraps the receiver of a method, or its results.
func (r *rewriter) method(call *ast.CallExpr, sel *ast.SelectorExpr, sig *types.Signature) {
	selection := r.info.Selections[sel]
	if selection == nil {
		return
	}
	recv := selection.Recv()
	switch sel.Sel.Name {
	case "RegisterService":
		if isRegistrar(recv) || isNamed(pointee(recv), grpcPath, "Server") {
			r.wrap(sel.X, "Registrar")
		}
	case "Invoke", "NewStream":
		if isNamed(pointee(recv), grpcPath, "ClientConn") {
			r.wrap(sel.X, "Conn")
		}
	case "Listen":
		results := sig.Results()
		if sig.Params().Len() == 3 && results.Len() == 2 && isNamed(results.At(0).Type(), "net", "Listener") {
			r.wrap(call, "Front")
		}
	}
}

// isRegistrar reports whether a type is an interface that services are registered
// with. Generated code takes a grpc.ServiceRegistrar, reflection a larger one.
func isRegistrar(t types.Type) bool {
	face, ok := t.Underlying().(*types.Interface)
	if !ok {
		return false
	}
	for m := range face.Methods() {
		switch m.Name() {
		case "RegisterService":
			return m.Signature().Params().Len() == 2
		case "GetServiceInfo":
		default:
			return false
		}
	}
	return false
}

func isNamed(t types.Type, pkg, name string) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Name() == name && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == pkg
}

func pointee(t types.Type) types.Type {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

func (r *rewriter) wrap(e ast.Expr, with string) {
	from, to := r.offset(e.Pos()), r.offset(e.End())
	r.edits = append(r.edits, edit{from, from, "behind." + with + "("}, edit{to, to, ")"})
	r.counts[with]++
}

func (r *rewriter) replace(n ast.Node, text string) {
	r.edits = append(r.edits, edit{r.offset(n.Pos()), r.offset(n.End()), text})
}

func (r *rewriter) offset(p token.Pos) int { return r.fset.Position(p).Offset }

// blankUnused keeps an import of which every use was replaced, under the blank
// name.
func (r *rewriter) blankUnused(file *ast.File) {
	left := make(map[types.Object]int)
	ast.Inspect(file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !r.replaced[id] {
			if p, ok := r.info.Uses[id].(*types.PkgName); ok {
				left[p]++
			}
		}
		return true
	})
	for _, spec := range file.Imports {
		p := r.info.PkgNameOf(spec)
		if p == nil || left[p] > 0 || p.Name() == "_" || p.Name() == "." {
			continue
		}
		if spec.Name != nil {
			r.replace(spec.Name, "_")
		} else {
			at := r.offset(spec.Path.Pos())
			r.edits = append(r.edits, edit{at, at, "_ "})
		}
	}
}
