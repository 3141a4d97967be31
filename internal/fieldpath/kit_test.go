package fieldpath_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/anypb" // any.proto
)

// proto3 has what a path can meet, with messages that contain themselves.
const proto3 = `
name: "tree.proto" package: "t" syntax: "proto3" dependency: "google/protobuf/any.proto"
message_type {
  name: "Node"
  field { name: "name" json_name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "storage_name" json_name: "storageName" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "maybe" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 1 proto3_optional: true }
  field { name: "child" number: 4 type: TYPE_MESSAGE type_name: ".t.Node" label: LABEL_OPTIONAL }
  field { name: "left" number: 5 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
  field { name: "right" number: 6 type: TYPE_MESSAGE type_name: ".t.Node" label: LABEL_OPTIONAL oneof_index: 0 }
  field { name: "names" number: 7 type: TYPE_STRING label: LABEL_REPEATED }
  field { name: "nodes" number: 8 type: TYPE_MESSAGE type_name: ".t.Node" label: LABEL_REPEATED }
  field { name: "labels" number: 9 type: TYPE_MESSAGE type_name: ".t.Node.LabelsEntry" label: LABEL_REPEATED }
  field { name: "any" number: 10 type: TYPE_MESSAGE type_name: ".google.protobuf.Any" label: LABEL_OPTIONAL }
  field { name: "number" number: 11 type: TYPE_SINT64 label: LABEL_OPTIONAL }
  field { name: "big" number: 12 type: TYPE_FIXED64 label: LABEL_OPTIONAL }
  field { name: "flag" number: 13 type: TYPE_BOOL label: LABEL_OPTIONAL }
  field { name: "color" number: 14 type: TYPE_ENUM type_name: ".t.Color" label: LABEL_OPTIONAL }
  field { name: "ratio" number: 15 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
  field { name: "raw" number: 16 type: TYPE_BYTES label: LABEL_OPTIONAL }
  field { name: "password" number: 17 type: TYPE_STRING label: LABEL_OPTIONAL options { debug_redact: true } }
  field { name: "maybe_number" number: 18 type: TYPE_INT32 label: LABEL_OPTIONAL oneof_index: 2 proto3_optional: true }
  field { name: "maybe_flag" number: 19 type: TYPE_BOOL label: LABEL_OPTIONAL oneof_index: 3 proto3_optional: true }
  nested_type {
    name: "LabelsEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  }
  oneof_decl { name: "side" }
  oneof_decl { name: "_maybe" }
  oneof_decl { name: "_maybe_number" }
  oneof_decl { name: "_maybe_flag" }
}
message_type { name: "Empty" }
enum_type {
  name: "Color"
  value { name: "COLOR_UNSPECIFIED" number: 0 }
  value { name: "COLOR_RED" number: 1 }
}`

// proto2 has a group, and defaults.
const proto2 = `
name: "old.proto" package: "o" syntax: "proto2"
message_type {
  name: "Old"
  field { name: "part" number: 1 type: TYPE_GROUP type_name: ".o.Old.Part" label: LABEL_OPTIONAL }
  field { name: "zone" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL default_value: "here" }
  field { name: "shard" number: 3 type: TYPE_UINT32 label: LABEL_REQUIRED }
  field { name: "level" number: 4 type: TYPE_ENUM type_name: ".o.Level" label: LABEL_OPTIONAL }
  field { name: "on" number: 5 type: TYPE_BOOL label: LABEL_OPTIONAL default_value: "true" }
  nested_type {
    name: "Part"
    field { name: "id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  }
  extension_range { start: 100 end: 200 }
}
enum_type { name: "Level" value { name: "LOW" number: 1 } value { name: "HIGH" number: 2 } }`

// editions has delimited encoding, and fields with and without presence.
const editions = `
name: "new.proto" package: "n" syntax: "editions" edition: EDITION_2023
message_type {
  name: "New"
  field { name: "part" number: 1 type: TYPE_MESSAGE type_name: ".n.New" label: LABEL_OPTIONAL options { features { message_encoding: DELIMITED } } }
  field { name: "explicit" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "implicit" number: 3 type: TYPE_INT32 label: LABEL_OPTIONAL options { features { field_presence: IMPLICIT } } }
}`

// messageOf returns a message type of a file.
func messageOf(t testing.TB, file string, name protoreflect.Name) protoreflect.MessageDescriptor {
	t.Helper()
	var fd descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(file), &fd); err != nil {
		t.Fatal(err)
	}
	d, err := protodesc.NewFile(&fd, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return d.Messages().ByName(name)
}
