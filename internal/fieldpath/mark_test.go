package fieldpath_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk/internal/fieldpath"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// marked has marks in each place where one may be, right or wrong.
const marked = `
name: "marked.proto" package: "m" syntax: "proto3" dependency: "hauberk/v1/policy.proto" dependency: "google/protobuf/any.proto"
message_type {
  name: "Repo"
  field { name: "storage_name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL options { [hauberk.v1.key]: "storage" } }
  field { name: "size" number: 2 type: TYPE_UINT64 label: LABEL_OPTIONAL options { [hauberk.v1.key]: "size" [hauberk.v1.key]: "weight" } }
  field { name: "parent" number: 3 type: TYPE_MESSAGE type_name: ".m.Repo" label: LABEL_OPTIONAL }
  field { name: "names" number: 4 type: TYPE_STRING label: LABEL_REPEATED options { [hauberk.v1.key]: "names" } }
  field { name: "raw" number: 5 type: TYPE_BYTES label: LABEL_OPTIONAL options { [hauberk.v1.key]: "raw" } }
  field { name: "any" number: 6 type: TYPE_MESSAGE type_name: ".google.protobuf.Any" label: LABEL_OPTIONAL options { [hauberk.v1.key]: "any" } }
}
message_type { name: "Get" field { name: "repo" number: 1 type: TYPE_MESSAGE type_name: ".m.Repo" label: LABEL_OPTIONAL } }
message_type { name: "Deep" field { name: "get" number: 1 type: TYPE_MESSAGE type_name: ".m.Get" label: LABEL_OPTIONAL } }
message_type {
  name: "Copy"
  field { name: "from" number: 1 type: TYPE_MESSAGE type_name: ".m.Repo" label: LABEL_OPTIONAL }
  field { name: "to" number: 2 type: TYPE_MESSAGE type_name: ".m.Repo" label: LABEL_OPTIONAL }
}
message_type {
  name: "Both"
  field { name: "storage" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL options { [hauberk.v1.key]: "storage" } }
  field { name: "get" number: 2 type: TYPE_MESSAGE type_name: ".m.Get" label: LABEL_OPTIONAL }
}
message_type { name: "Many" field { name: "repos" number: 1 type: TYPE_MESSAGE type_name: ".m.Repo" label: LABEL_REPEATED } }
message_type { name: "None" field { name: "storage" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type {
  name: "Here"
  field { name: "there" number: 1 type: TYPE_MESSAGE type_name: ".m.There" label: LABEL_OPTIONAL }
  field { name: "repo" number: 2 type: TYPE_MESSAGE type_name: ".m.Repo" label: LABEL_OPTIONAL }
}
message_type { name: "There" field { name: "here" number: 1 type: TYPE_MESSAGE type_name: ".m.Here" label: LABEL_OPTIONAL } }
`

// markedMessages returns the message types of a file. unknown leaves its options undecoded, as they are in a
// descriptor that a program has loaded without the option's file.
func markedMessages(t testing.TB, file string, unknown bool) protoreflect.MessageDescriptors {
	t.Helper()
	var fd descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(file), &fd); err != nil {
		t.Fatal(err)
	}
	if unknown {
		encoded, err := proto.Marshal(&fd)
		if err == nil {
			fd.Reset()
			err = proto.UnmarshalOptions{Resolver: new(protoregistry.Types)}.Unmarshal(encoded, &fd)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := protodesc.NewFile(&fd, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return d.Messages()
}

// A mark leads to its only field, and what is wrong says where the marks are.
func TestMarks(t *testing.T) {
	for _, test := range []struct {
		message protoreflect.Name
		mark    string
		path    string
		wrong   []string // in the error
	}{
		{"Repo", "storage", "storage_name", nil},
		{"Get", "storage", "repo.storage_name", nil},
		{"Deep", "weight", "get.repo.size", nil},
		{"There", "storage", "here.repo.storage_name", nil},
		{"Here", "storage", "repo.storage_name", nil},
		{"Copy", "storage", "", []string{"m.Copy has two fields", `= "storage"`, "from.storage_name and to.storage_name"}},
		{"Both", "storage", "", []string{"m.Both has two fields", "storage and get.repo.storage_name"}},
		{"Many", "storage", "", []string{"no field with the option", "m.Many", "only repos.storage_name, in a repeated field"}},
		{"None", "storage", "", []string{"no field with the option", "m.None, which has none"}},
		{"Get", "storge", "", []string{"no field with the option", "which has any, names, raw, size, storage, weight"}},
		{"Get", "names", "", []string{`= "names" of m.Get`, "repo.names, a repeated field"}},
		{"Get", "raw", "", []string{"repo.raw, which is bytes; want string or integer or bool or enum"}},
		{"Get", "any", "", []string{"repo.any, a message of type google.protobuf.Any"}},
	} {
		for _, unknown := range []bool{false, true} {
			p, err := fieldpath.ParseMark(test.mark)
			if err != nil {
				t.Fatal(err)
			}
			f, err := p.Resolve(markedMessages(t, marked, unknown).ByName(test.message), fieldpath.Texts)
			if test.wrong == nil {
				if err != nil || f.Path() != test.path {
					t.Errorf("%s of %s: %v, %v; want %s", test.mark, test.message, f, err, test.path)
				}
				continue
			}
			for _, want := range test.wrong {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s of %s: %v; want %q", test.mark, test.message, err, want)
				}
			}
			if none := strings.HasPrefix(test.wrong[0], "no field"); errors.Is(err, fieldpath.ErrNotFound) != none {
				t.Errorf("%s of %s: %v is ErrNotFound: %t", test.mark, test.message, err, !none)
			}
		}
	}
}

// Names that an option cannot have are errors.
func TestParseMark(t *testing.T) {
	for name, want := range map[string]bool{
		"storage": true, "a": true, "a_1": true, strings.Repeat("a", 64): true,
		"": false, "1a": false, "_a": false, "A": false, "a-b": false, "a.b": false, "ä": false, strings.Repeat("a", 65): false,
	} {
		if _, err := fieldpath.ParseMark(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
		r, err := fieldpath.NewMarkReader(name)
		if _, ok := r.Text(&policypb.GetRequest{Repository: &policypb.Repository{StorageName: "nvme"}}); ok != (name == "storage") || (err == nil) != want {
			t.Errorf("%q: the reader has a text: %t, %v", name, ok, err)
		}
	}
}

// A reader finds the field of each type, in messages of generated code and of other descriptors.
func TestMarkReader(t *testing.T) {
	r, err := fieldpath.NewMarkReader("storage")
	if err != nil {
		t.Fatal(err)
	}
	repo := &policypb.Repository{StorageName: "nvme"}
	encoded, err := proto.Marshal(&policypb.GetRequest{Repository: repo})
	if err != nil {
		t.Fatal(err)
	}
	loaded := dynamicpb.NewMessage(markedMessages(t, marked, true).ByName("Get"))
	if err := proto.Unmarshal(encoded, loaded); err != nil {
		t.Fatal(err)
	}
	for _, msg := range []any{repo, &policypb.GetRequest{Repository: repo}, &policypb.ListRequest{Storage: "nvme"}, loaded} {
		if text, ok := r.Text(msg); !ok || text != "nvme" {
			t.Errorf("%T: %q, %t", msg, text, ok)
		}
	}
	for _, msg := range []any{(*policypb.GetRequest)(nil), new(policypb.GetRequest), nil, "nvme"} {
		if text, ok := r.Text(msg); ok {
			t.Errorf("%T: %q", msg, text)
		}
	}
}

// The search ends in message types that lead to each other in all ways.
func TestMarkInManyTypes(t *testing.T) {
	var file strings.Builder
	const types = 40
	fmt.Fprint(&file, `name: "many.proto" package: "many" syntax: "proto3" dependency: "hauberk/v1/policy.proto"`)
	for i := range types {
		fmt.Fprintf(&file, "message_type { name: \"T%d\" ", i)
		for j := range types {
			fmt.Fprintf(&file, `field { name: "f%d" number: %d type: TYPE_MESSAGE type_name: ".many.T%d" label: LABEL_OPTIONAL } `, j, j+1, j)
		}
		if i == types-1 {
			fmt.Fprint(&file, `field { name: "id" number: 100 type: TYPE_STRING label: LABEL_OPTIONAL options { [hauberk.v1.key]: "id" } } `)
		}
		fmt.Fprintln(&file, "}")
	}
	p, err := fieldpath.ParseMark("id")
	if err != nil {
		t.Fatal(err)
	}
	messages := markedMessages(t, file.String(), false)
	if f, err := p.Resolve(messages.ByName("T0"), fieldpath.Texts); err == nil || errors.Is(err, fieldpath.ErrNotFound) {
		t.Errorf("%v, %v; want an error: there are many paths", f, err)
	}
	if f, err := p.Resolve(messages.ByName("T39"), fieldpath.Texts); err != nil || f.Path() != "id" {
		t.Errorf("%v, %v; want id: the type within itself is not searched", f, err)
	}
}
