package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
)

// compiled returns the schema.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tree returns a value as JSON has it.
func tree(v yamlfile.Value) any {
	switch v.Kind() {
	case yamlfile.Mapping:
		m := make(map[string]any)
		for key, value := range v.Pairs() {
			m[key.Raw()] = tree(value)
		}
		return m
	case yamlfile.Sequence:
		list := []any{}
		for _, item := range v.Items() {
			list = append(list, tree(item))
		}
		return list
	default:
		switch v.Type() {
		case "int", "float":
			return json.Number(v.Raw())
		case "bool":
			return v.Raw() == "true"
		case "null":
			return nil
		default:
			return v.Raw()
		}
	}
}

// documents returns small valid files: the keys of a file, and each of its entries alone.
func documents(t *testing.T) (all []map[string]any) {
	t.Helper()
	for _, name := range []string{"testdata/everything.yaml", "testdata/design.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		whole, ok := tree(yamlfile.Parse(name, data).Root()).(map[string]any)
		if !ok {
			t.Fatal("no map")
		}
		for _, side := range []string{"server", "client"} {
			list, _ := whole[side].([]any)
			for _, entry := range list {
				all = append(all, map[string]any{"version": json.Number("1"), side: []any{entry}})
			}
			delete(whole, side)
		}
		all = append(all, whole)
	}
	return all
}

// grammar has the keys whose texts have a grammar that the schema does not know.
var grammar = map[string]bool{"cel": true, "of": true, "field": true, "metadata": true}

// mutants calls yield with a tree in which one value is another one, for each value and several others.
func mutants(key string, v any, yield func(any)) {
	others := []any{
		nil, true, json.Number("7"), json.Number("7.5"), json.Number("0"), "30s", "5/1s",
		[]any{},
		map[string]any{},
		[]any{v},
		[]any{[]any{v}},
		map[string]any{"unknown": v},
		[]any{nil},
		"UNAVAILABLE", "grpc", "user",
	}
	for _, other := range others {
		list, isList := other.([]any)
		if _, text := other.(string); grammar[key] && (text || isList && len(list) == 0) {
			continue
		}
		yield(other)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			less := maps.Clone(v)
			delete(less, k)
			yield(less)
			less[k+"s"] = v[k]
			yield(less)
			mutants(k, v[k], func(inner any) {
				m := maps.Clone(v)
				m[k] = inner
				yield(m)
			})
		}
		more := maps.Clone(v)
		more["colour"] = "red"
		yield(more)
	case []any:
		for i := range v {
			mutants(key, v[i], func(inner any) {
				list := slices.Clone(v)
				list[i] = inner
				yield(list)
			})
		}
	}
}

// The schema accepts what the decoder reads, and rejects what it does not: for each value of valid files, and for
// many others in its place.
func TestSchemaAgrees(t *testing.T) {
	s := compiled(t)
	env := func(string) (string, bool) { return "x", true }
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := catalog.New()
	const every = 3 // of the mutants, of which there are about 10,000
	count, valid, made := 0, 0, 0
	check := func(doc any) {
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		r := newReader(newSettings([]Option{WithEnv(env), WithDir(dir)}), rows, "f.yaml", text)
		root := r.file.Root()
		r.decode(root)
		instance := tree(root)
		if instance == nil {
			return // an empty document
		}
		bySchema, byDecoder := s.Validate(instance), r.file.Err()
		count++
		if byDecoder == nil {
			valid++
		}
		if (bySchema == nil) != (byDecoder == nil) {
			t.Errorf("%s\nschema: %v\ndecoder: %v", text, bySchema, byDecoder)
		}
	}
	for _, doc := range documents(t) {
		check(doc)
		mutants("", doc, func(m any) {
			made++
			if made%every == 0 && !t.Failed() {
				check(m)
			}
		})
	}
	if valid < 300 || count-valid < 1500 {
		t.Errorf("%d files, of which %d are valid: the corpus is one-sided", count, valid)
	}
	t.Logf("%d of %d files, %d valid", count, made, valid)
}
