package policy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
	"github.com/hauberk-rpc/hauberk/policy/internal/policydoc"
)

// docs returns the source of what is generated.
func docs() *policydoc.Source {
	c := catalog.New()
	return &policydoc.Source{File: fileShape(c), Catalog: c, Comments: policydoc.NewComments("..")}
}

// The schema and the reference are those of the types and comments. -update writes them.
func TestGenerated(t *testing.T) {
	schema, err := docs().Schema()
	if err != nil {
		t.Fatal(err)
	}
	intro, err := os.ReadFile("internal/policydoc/intro.md")
	if err != nil {
		t.Fatal(err)
	}
	reference, err := docs().Reference(string(intro))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]byte{
		"schema.json": schema, filepath.Join("..", "docs", "policy.md"): []byte(reference),
	} {
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(file, want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not current; run go test ./policy -run TestGenerated -update", file)
		}
	}
}
