package fieldpath_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/sourcecontextpb"

	"github.com/hauberk-rpc/hauberk/internal/fieldpath"
)

// TestParse: a path that is not names with dots between them has an error that shows it.
func TestParse(t *testing.T) {
	for _, text := range []string{"a", "a.b", "storage_name", "_x.y1"} {
		if p, err := fieldpath.Parse(text); err != nil || p.String() != text {
			t.Errorf("Parse(%q) = %v, %v", text, p, err)
		}
	}
	for text, want := range map[string]string{
		"":                             "is empty",
		".":                            `"" as a name`,
		"a.":                           `"" as a name`,
		".a":                           `"" as a name`,
		"a..b":                         `"" as a name`,
		"a b":                          `"a b" as a name`,
		"a.1":                          `"1" as a name`,
		"a[0]":                         "an entry or an extension",
		"[pkg.ext]":                    "an entry or an extension",
		"größe":                        "as a name",
		strings.Repeat("a.", 16) + "a": "17 names; want at most 16",
		strings.Repeat("a", 257):       "257 bytes; want at most 256",
	} {
		if _, err := fieldpath.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) has the error %v; want %q in it", text, err, want)
		}
	}
}

// TestResolve: what is wrong with a path is said with the message, the name and what would be right.
func TestResolve(t *testing.T) {
	const all = fieldpath.Texts
	cases := []struct {
		path     string
		kinds    fieldpath.Kinds
		notFound bool
		want     []string
	}{
		{"storage", all, true, []string{"there is no field storage in t.Node", "which has storage_name"}},
		{"storageName", all, true, []string{"which has storage_name"}},
		{"child.naem", all, true, []string{"no field naem in t.Node", "which has name"}},
		{"side", all, true, []string{"it is a oneof", "such as left"}},
		{"_maybe", all, true, []string{"no field _maybe in t.Node", "which has maybe"}},
		{"names", all, false, []string{"names, a repeated field"}},
		{"nodes.name", all, false, []string{"leads to nodes, a repeated field"}},
		{"child.labels", all, false, []string{"leads to child.labels, a map"}},
		{"labels.value", all, false, []string{"leads to labels, a map"}},
		{"child", fieldpath.String, false, []string{"ends at child, a message of type t.Node", "want string, such as child.name"}},
		{"any", fieldpath.String, false, []string{"ends at any, a message of type google.protobuf.Any"}},
		{"any.type_url", fieldpath.String, false, []string{"leads into any, a google.protobuf.Any"}},
		{"child.any.value.x", all, false, []string{"leads into child.any, a google.protobuf.Any"}},
		{"name.x", all, false, []string{"continues after name, which is string and no message"}},
		{"number", fieldpath.String, false, []string{"ends at number, which is sint64; want string"}},
		{"name", fieldpath.Int, false, []string{"which is string; want integer"}},
		{"color", fieldpath.Bool | fieldpath.String, false, []string{"which is enum; want string or bool"}},
		{"ratio", all, false, []string{"which is double"}},
		{"child.raw", all, false, []string{"which is bytes; want string or integer or bool or enum"}},
	}
	node := messageOf(t, proto3, "Node")
	for _, c := range cases {
		p, err := fieldpath.Parse(c.path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.Resolve(node, c.kinds)
		if err == nil || f != nil || errors.Is(err, fieldpath.ErrNotFound) != c.notFound {
			t.Errorf("%s: %v, %v; not found is %t", c.path, f, err, errors.Is(err, fieldpath.ErrNotFound))
			continue
		}
		for _, want := range append(c.want, `"`+c.path+`"`) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error %q has no %q", c.path, err, want)
			}
		}
	}
	p, _ := fieldpath.Parse("a")
	if _, err := p.Resolve(messageOf(t, proto3, "Empty"), all); !errors.Is(err, fieldpath.ErrNotFound) ||
		!strings.Contains(err.Error(), "has no fields") {
		t.Errorf("of an empty message: %v", err)
	}
	if _, err := (fieldpath.Path{}).Resolve(node, all); err == nil {
		t.Error("the zero Path has no error")
	}
}

// TestText: the text of a field, and which values are none.
func TestText(t *testing.T) {
	cases := []struct {
		file    string
		message protoreflect.Name
		text    string // of the message
		path    string
		want    string // "" for none
	}{
		{proto3, "Node", `name: "a"`, "name", "a"},
		{proto3, "Node", ``, "name", ""},
		{proto3, "Node", `maybe: ""`, "maybe", ""},
		{proto3, "Node", `maybe: "m"`, "maybe", "m"},
		{proto3, "Node", `child {child {name: "deep"}}`, "child.child.name", "deep"},
		{proto3, "Node", `child {}`, "child.child.name", ""},
		{proto3, "Node", `left: "l"`, "left", "l"},
		{proto3, "Node", `right {name: "r"}`, "left", ""},
		{proto3, "Node", `right {name: "r"}`, "right.name", "r"},
		{proto3, "Node", `left: "l"`, "right.name", ""},
		{proto3, "Node", `number: -5`, "number", "-5"},
		{proto3, "Node", `number: 0`, "number", ""},
		{proto3, "Node", `maybe_number: 0`, "maybe_number", "0"},
		{proto3, "Node", ``, "maybe_number", ""},
		{proto3, "Node", `big: 18446744073709551615`, "big", "18446744073709551615"},
		{proto3, "Node", `flag: true`, "flag", "true"},
		{proto3, "Node", ``, "flag", "false"},
		{proto3, "Node", ``, "child.flag", ""},
		{proto3, "Node", `child {}`, "child.flag", "false"},
		{proto3, "Node", ``, "maybe_flag", ""},
		{proto3, "Node", `maybe_flag: false`, "maybe_flag", "false"},
		{proto3, "Node", `color: COLOR_RED`, "color", "COLOR_RED"},
		{proto3, "Node", `color: 7`, "color", "7"},
		{proto3, "Node", ``, "color", ""},
		{proto2, "Old", `Part {id: "p"} shard: 1`, "part.id", "p"},
		{proto2, "Old", `shard: 0`, "shard", "0"},
		{proto2, "Old", `shard: 0`, "zone", ""},
		{proto2, "Old", `zone: "there" shard: 0`, "zone", "there"},
		{proto2, "Old", ``, "level", ""},
		{proto2, "Old", `level: HIGH`, "level", "HIGH"},
		{proto2, "Old", ``, "on", ""},
		{proto2, "Old", `on: false`, "on", "false"},
		{editions, "New", `part {explicit: 0}`, "part.explicit", "0"},
		{editions, "New", `part {implicit: 0}`, "part.implicit", ""},
		{editions, "New", `part {implicit: 4}`, "part.implicit", "4"},
	}
	for _, c := range cases {
		m := dynamicpb.NewMessage(messageOf(t, c.file, c.message))
		if err := (prototext.UnmarshalOptions{AllowPartial: true}).Unmarshal([]byte(c.text), m); err != nil {
			t.Fatal(err)
		}
		r, err := fieldpath.NewReader(fieldpath.Texts, c.path)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := r.Text(m); got != c.want || ok != (c.want != "") {
			t.Errorf("%s of {%s} is %q, %t; want %q", c.path, c.text, got, ok, c.want)
		}
	}
}

// TestReader: the first path whose names are fields counts, for each message type.
func TestReader(t *testing.T) {
	r, err := fieldpath.NewReader(fieldpath.String, "source_context.file_name", "options.java_package", "name")
	if err != nil {
		t.Fatal(err)
	}
	java := "com.example"
	api := &apipb.Api{Name: "n", SourceContext: &sourcecontextpb.SourceContext{FileName: "f"}}
	file := &descriptorpb.FileDescriptorProto{Name: &java, Options: &descriptorpb.FileOptions{JavaPackage: &java}}
	name := "the name"
	for range 2 { // unknown types, then known ones
		for _, c := range []struct {
			msg  any
			want string
			has  bool
		}{
			{api, "f", true},
			{&apipb.Api{Name: "n"}, "", true}, // the path is that of the type: another is no substitute
			{file, java, true},
			{&descriptorpb.EnumDescriptorProto{Name: &name}, name, true},
			{&sourcecontextpb.SourceContext{FileName: "f"}, "", false},
			{(*apipb.Api)(nil), "", true},
			{"text", "", false},
			{nil, "", false},
			{&v1{Name: "old"}, "old", true},
			{&broken{}, "", false},
		} {
			got, ok := r.Text(c.msg)
			if got != c.want || ok != (c.want != "") || r.Has(c.msg) != c.has {
				t.Errorf("Text(%T) = %q, %t and Has is %t; want %q, %t", c.msg, got, ok, r.Has(c.msg), c.want, c.has)
			}
		}
	}
	types := []protoreflect.MessageDescriptor{api.ProtoReflect().Descriptor(), file.ProtoReflect().Descriptor()}
	if got := r.Unused(types); len(got) != 1 || got[0].String() != "name" {
		t.Errorf("unused are %q; want name", got)
	}
	if _, err := fieldpath.NewReader(fieldpath.String); err == nil {
		t.Error("no path has no error")
	}
	if _, err := fieldpath.NewReader(fieldpath.String, "a", "b.", "a"); err == nil ||
		!strings.Contains(err.Error(), "twice") || !strings.Contains(err.Error(), `"b."`) {
		t.Errorf("two bad paths: %v", err)
	}
}

// v1 is a message of the first API of Go.
type v1 struct {
	Name string `protobuf:"bytes,1,opt,name=name,proto3"`
}

func (*v1) Reset()         {}
func (*v1) String() string { return "" }
func (*v1) ProtoMessage()  {}

// broken is one with a field that reflection does not know.
type broken struct {
	Name chan int `protobuf:"bytes,1,opt,name=name,proto3"`
}

func (*broken) Reset()         {}
func (*broken) String() string { return "" }
func (*broken) ProtoMessage()  {}

// TestOtherDescriptors: a message that has one of another descriptor of its type is read, and one whose
// descriptor differs is not misread.
func TestOtherDescriptors(t *testing.T) {
	outer, inner := messageOf(t, proto3, "Node"), messageOf(t, proto3, "Node")
	changed := messageOf(t, strings.Replace(proto3, `"name" number: 1 type`, `"name" number: 99 type`, 1), "Node")
	r, err := fieldpath.NewReader(fieldpath.String, "child.name")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of   protoreflect.MessageDescriptor
		want string
	}{{outer, "a"}, {inner, "a"}, {changed, ""}} {
		m, child := dynamicpb.NewMessage(outer), dynamicpb.NewMessage(c.of)
		child.Set(c.of.Fields().ByName("name"), protoreflect.ValueOfString("a"))
		m.Set(outer.Fields().ByName("child"), protoreflect.ValueOfMessage(child))
		if got, _ := r.Text(m); got != c.want {
			t.Errorf("the name is %q; want %q", got, c.want)
		}
	}
}

// TestManyTypes: more types than are remembered are read all the same, concurrently too.
func TestManyTypes(t *testing.T) {
	r, err := fieldpath.NewReader(fieldpath.String, "part.zone", "zone")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 300 { // more than 1024 in all
				d := messageOf(t, proto2, "Old")
				m := dynamicpb.NewMessage(d)
				m.Set(d.Fields().ByName("zone"), protoreflect.ValueOfString("z"))
				for range 2 {
					if got, _ := r.Text(m); got != "z" {
						t.Errorf("got %q; want z, since the first path has a name that is no field", got)
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestRedacted: a field with debug_redact says so.
func TestRedacted(t *testing.T) {
	for path, want := range map[string]bool{"child.password": true, "child.name": false} {
		p, err := fieldpath.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.Resolve(messageOf(t, proto3, "Node"), fieldpath.String)
		if err != nil || f.Redacted() != want {
			t.Errorf("%s: %t, %v", path, f.Redacted(), err)
		}
	}
}
