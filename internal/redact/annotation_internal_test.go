package redact

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// classFile defines custom options that classify fields.
const classFile = `
name: "class.proto" package: "class.v1" syntax: "proto2"
dependency: "google/protobuf/descriptor.proto"
enum_type {
  name: "Class"
  value { name: "OPEN" number: 0 }
  value { name: "SECRET" number: 1 options { debug_redact: true } }
}
message_type {
  name: "Policy"
  field { name: "class" number: 1 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".class.v1.Class" json_name: "class" }
  field { name: "classes" number: 2 label: LABEL_REPEATED type: TYPE_ENUM type_name: ".class.v1.Class" json_name: "classes" }
  field { name: "of" number: 3 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".class.v1.Policy.OfEntry" json_name: "of" }
  nested_type {
    name: "OfEntry"
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "key" }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".class.v1.Class" json_name: "value" }
    options { map_entry: true }
  }
}
extension { name: "class" number: 50001 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".class.v1.Class" extendee: ".google.protobuf.FieldOptions" }
extension { name: "policies" number: 50002 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".class.v1.Policy" extendee: ".google.protobuf.FieldOptions" }
`

// cardFile annotates its fields with these options.
const cardFile = `
name: "card.proto" package: "card.v1" syntax: "proto2"
dependency: "class.proto"
message_type {
  name: "Card"
  field { name: "plain" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "plain" }
  field { name: "open" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "open" options { [class.v1.class]: OPEN } }
  field { name: "secret" number: 3 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "secret" options { [class.v1.class]: SECRET } }
  field { name: "one" number: 4 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "one" options { [class.v1.policies] { class: SECRET } } }
  field { name: "some" number: 5 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "some" options { [class.v1.policies] {} [class.v1.policies] { classes: [OPEN, SECRET] } } }
  field { name: "mapped" number: 6 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "mapped" options { [class.v1.policies] { of { key: "a" value: SECRET } } } }
  field { name: "harmless" number: 7 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "harmless" options { deprecated: true [class.v1.policies] { classes: OPEN of { key: "a" value: OPEN } } } }
}
`

// addFile adds a file to a registry.
func addFile(t *testing.T, files *protoregistry.Files, file *descriptorpb.FileDescriptorProto) {
	t.Helper()
	d, err := protodesc.NewFile(file, resolver{files, protoregistry.GlobalFiles})
	if err != nil {
		t.Fatal(err)
	}
	if err := files.RegisterFile(d); err != nil {
		t.Fatal(err)
	}
}

// resolver looks for files in two places.
type resolver struct{ first, second *protoregistry.Files }

func (r resolver) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if d, err := r.first.FindFileByPath(path); err == nil {
		return d, nil
	}
	return r.second.FindFileByPath(path)
}

func (r resolver) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := r.first.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return r.second.FindDescriptorByName(name)
}

// A field is secret if it is annotated with a marked value of an enum, also if the option
// was unknown when the descriptor was made.
func TestAnnotatedFields(t *testing.T) {
	for name, parsed := range map[string]bool{"known options": true, "options not known": false} {
		t.Run(name, func(t *testing.T) {
			files := new(protoregistry.Files)
			class, card := new(descriptorpb.FileDescriptorProto), new(descriptorpb.FileDescriptorProto)
			if err := prototext.Unmarshal([]byte(classFile), class); err != nil {
				t.Fatal(err)
			}
			addFile(t, files, class)
			types := dynamicpb.NewTypes(files)
			if err := (prototext.UnmarshalOptions{Resolver: types}).Unmarshal([]byte(cardFile), card); err != nil {
				t.Fatal(err)
			}
			if !parsed {
				card = reparsed(t, card)
			}
			addFile(t, files, card)
			cardType, err := types.FindMessageByName("card.v1.Card")
			if err != nil {
				t.Fatal(err)
			}
			m := cardType.New()
			for i := range m.Descriptor().Fields().Len() {
				m.Set(m.Descriptor().Fields().Get(i), protoreflect.ValueOfString("x"))
			}
			r, _ := New("Redact", nil, types, 4096)
			const want = `{"plain":"x","open":"x","secret":"[redacted]","one":"[redacted]","some":"[redacted]",` +
				`"mapped":"[redacted]","harmless":"x"}`
			if got := r.Text(m.Interface()); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
}

// reparsed returns a file as a program reads it that does not know its options.
func reparsed(t *testing.T, file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	t.Helper()
	raw, err := proto.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	again := new(descriptorpb.FileDescriptorProto)
	if err := proto.Unmarshal(raw, again); err != nil {
		t.Fatal(err)
	}
	return again
}
