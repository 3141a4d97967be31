// Package policydoc makes the JSON Schema and the reference of policy files from the shapes of their types and
// the comments in the source code.
package policydoc

import (
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

const module = "github.com/hauberk-rpc/hauberk"

// Comments reads the comments of types in the source code of the module. Make it with [NewComments].
type Comments struct {
	root     string
	packages map[string]*source
}

// source is what is used of a package.
type source struct {
	fields    map[string]string // comments by "Type.Field"
	types     map[string]string // comments by name
	constants map[string]string // values as they are written
}

// NewComments returns the comments of the module in a folder.
func NewComments(root string) *Comments {
	return &Comments{root, make(map[string]*source)}
}

// Field returns the comment of a field in the words of the file: one paragraph.
func (c *Comments) Field(f *shape.Field, of *shape.Shape) (string, error) {
	src, err := c.load(f.Owner.PkgPath())
	if err != nil {
		return "", err
	}
	return src.words(src.fields[f.Owner.Name()+"."+f.Name], of), nil
}

// Type returns the comment of a type.
func (c *Comments) Type(t reflect.Type, of *shape.Shape) (string, error) {
	src, err := c.load(t.PkgPath())
	if err != nil {
		return "", err
	}
	return src.words(src.types[t.Name()], of), nil
}

// Constants returns the names of the constants of a type.
func (c *Comments) Constants(t reflect.Type) ([]string, error) {
	src, err := c.load(t.PkgPath())
	if err != nil {
		return nil, err
	}
	var names []string
	for name, of := range src.constants {
		if of == "type "+t.Name() {
			names = append(names, name)
		}
	}
	return names, nil
}

func (c *Comments) load(path string) (*source, error) {
	if src := c.packages[path]; src != nil {
		return src, nil
	}
	src := &source{make(map[string]string), make(map[string]string), make(map[string]string)}
	dir := filepath.Join(c.root, filepath.FromSlash(strings.TrimPrefix(strings.TrimPrefix(path, module), "/")))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(dir, e.Name()), nil,
			parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		src.add(set, file)
	}
	c.packages[path] = src
	return src, nil
}

// add adds the declarations of a file.
func (s *source) add(set *token.FileSet, file *ast.File) {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		of := ""
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				s.addType(decl, spec)
			case *ast.ValueSpec:
				of = s.addValue(set, decl, spec, of)
			}
		}
	}
}

func (s *source) addType(decl *ast.GenDecl, spec *ast.TypeSpec) {
	doc := spec.Doc
	if doc == nil {
		doc = decl.Doc
	}
	s.types[spec.Name.Name] = doc.Text()
	st, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	last := ""
	for _, f := range st.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		if text == "" {
			text = last // of a group of fields
		}
		last = text
		for _, name := range f.Names {
			s.fields[spec.Name.Name+"."+name.Name] = text
		}
	}
}

// addValue keeps constants: their values, and those of a type as "type T". of is the type of the one before.
func (s *source) addValue(set *token.FileSet, decl *ast.GenDecl, spec *ast.ValueSpec, of string) string {
	if decl.Tok != token.CONST {
		return ""
	}
	if t, ok := spec.Type.(*ast.Ident); ok {
		of = t.Name
	}
	for i, name := range spec.Names {
		switch {
		case of != "" && ast.IsExported(name.Name):
			s.constants[name.Name] = "type " + of
		case i < len(spec.Values):
			var b strings.Builder
			if printer.Fprint(&b, set, spec.Values[i]) == nil {
				s.constants[name.Name] = b.String()
			}
		}
	}
	return of
}

var (
	docLink = regexp.MustCompile(`\[([A-Za-z0-9_.*]+)\]`)
	goName  = regexp.MustCompile(`\b(Config\.)?[A-Z][A-Za-z0-9]*\b`)
	seconds = regexp.MustCompile(`\b(\d+) ?\* ?time\.(Second|Minute|Hour|Millisecond)\b`)
	single  = regexp.MustCompile(`\btime\.(Second|Minute|Hour|Millisecond)\b`)
)

// words returns a comment as one paragraph, in the words of the file: keys in place of names in Go, values in place
// of constants.
func (s *source) words(text string, of *shape.Shape) string {
	text = strings.Join(strings.Fields(docLink.ReplaceAllString(text, "$1")), " ")
	names, constants := namesOf(of)
	return shape.Unquoted(text, func(part string) string {
		return goName.ReplaceAllStringFunc(part, func(name string) string {
			bare := strings.TrimPrefix(name, "Config.")
			if key := names[bare]; key != "" {
				return key
			}
			if word := constants[bare]; word != "" {
				return word
			}
			if value := s.constants[bare]; value != "" && !strings.HasPrefix(value, "type ") {
				return inUnits(value)
			}
			return name
		})
	})
}

// namesOf returns the keys by the names of fields, and the words by the names of constants.
func namesOf(of *shape.Shape) (names, constants map[string]string) {
	names, constants = make(map[string]string), make(map[string]string)
	if of == nil {
		return names, constants
	}
	for _, f := range of.Fields {
		names[f.Name] = f.Key
		if f.Shape.Special != nil {
			for _, w := range f.Shape.Special.Words {
				constants[w.Go] = w.Text
			}
		}
	}
	return names, constants
}

// inUnits writes durations of Go as the file has them, and computes numbers.
func inUnits(value string) string {
	if v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, value); err == nil && v.Value != nil {
		return v.Value.ExactString()
	}
	unit := map[string]string{"Second": "s", "Minute": "m", "Hour": "h", "Millisecond": "ms"}
	value = seconds.ReplaceAllStringFunc(value, func(m string) string {
		parts := seconds.FindStringSubmatch(m)
		return parts[1] + unit[parts[2]]
	})
	return single.ReplaceAllStringFunc(value, func(m string) string {
		return "1" + unit[single.FindStringSubmatch(m)[1]]
	})
}
