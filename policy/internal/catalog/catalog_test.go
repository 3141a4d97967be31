package catalog_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
	"github.com/hauberk-rpc/hauberk/policy/internal/policydoc"
	"github.com/hauberk-rpc/hauberk/policy/internal/shape"
)

// Every package of interceptors has a row, and rows of the same name are for different sides.
func TestRows(t *testing.T) {
	c := catalog.New()
	packages := make(map[string]bool)
	for i, r := range c.Rows {
		packages[strings.ReplaceAll(r.Use, "_", "")] = true
		for _, other := range c.Rows[:i] {
			if other.Use == r.Use && (other.Sides == r.Sides || other.Sides == hauberk.BothSides) {
				t.Errorf("%s is there twice", r.Use)
			}
		}
		if r.Doc == "" || !strings.HasSuffix(r.Doc, ".") {
			t.Errorf("%s: the sentence is %q", r.Use, r.Doc)
		}
	}
	entries, err := os.ReadDir("../../../interceptors")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !packages[e.Name()] {
			t.Errorf("no row for interceptors/%s", e.Name())
		}
	}
}

// The sides of a row are those that its interceptor declares. Some declare one side only with some settings.
func TestSides(t *testing.T) {
	for _, r := range catalog.New().Rows {
		b := &catalog.Build{Renames: make(map[string]string)}
		b.CheckOnly, b.KeyMemories = true, new(catalog.KeyMemories)
		x, _ := r.Build(b, r.New())
		d, ok := x.(hauberk.Declarer)
		if !ok {
			continue // it needs settings
		}
		if got := d.Declare().Sides; got != r.Sides && r.Sides != hauberk.BothSides {
			t.Errorf("%s: the row has %d, the interceptor declares %d", r.Use, r.Sides, got)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Every exported constant of the types with words has a word, except for those that need code.
func TestConstants(t *testing.T) {
	needCode := []string{"Answer"}
	comments := policydoc.NewComments("../../..")
	types := 0
	for of, special := range catalog.New().Types.Specials() {
		var words []string
		for _, w := range special.Words {
			words = append(words, w.Go)
		}
		if len(words) == 0 || words[0] == "" {
			continue
		}
		types++
		names, err := comments.Constants(of)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !slices.Contains(words, name) && !slices.Contains(needCode, name) {
				t.Errorf("%s: no word for %s", of, name)
			}
		}
	}
	if types < 10 {
		t.Errorf("%d types with constants", types)
	}
}

// notData are the fields of configurations that have no key: they are functions, or made by the program.
var notData = []string{
	"authn.APIKeysConfig.Failed", "authnintrospect.Config.Client", "authnmtls.Config.Bundles", "authnmtls.Config.Identity",
	"authnoauth2.Endpoint.Client", "authzext.Config.Conn",
}

// Every exported field of a configuration has a key, except for those that are not data.
func TestFields(t *testing.T) {
	var without []string
	seen := make(map[*shape.Shape]bool)
	var visit func(s *shape.Shape)
	visit = func(s *shape.Shape) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		if s.Kind == shape.Struct {
			for _, f := range reflect.VisibleFields(s.Type) {
				known := s.FieldOf(f.Name) != nil || f.Name == "Per" || f.Tag.Get("policy") == "-"
				if f.IsExported() && !f.Anonymous && !known {
					without = append(without, owner(s.Type, f.Index)+"."+f.Name)
				}
			}
		}
		for _, f := range s.Fields {
			visit(f.Shape)
		}
		visit(s.Elem)
		if s.Special != nil {
			visit(s.Special.Form)
		}
	}
	for _, r := range catalog.New().Rows {
		visit(r.Shape)
	}
	slices.Sort(without)
	if without = slices.Compact(without); !slices.Equal(without, notData) {
		t.Errorf("without a key are %v; want %v", without, notData)
	}
}

// owner returns the struct that declares a field.
func owner(of reflect.Type, index []int) string {
	for _, i := range index[:len(index)-1] {
		of = of.Field(i).Type
	}
	return of.String()
}
