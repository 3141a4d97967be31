package redact

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

// vaultFile has marked and unmarked fields in all places where a field can be.
const vaultFile = `
name: "vault.proto" package: "vault.v1" syntax: "proto2"
dependency: "google/protobuf/any.proto"
dependency: "google/protobuf/struct.proto"
message_type {
  name: "Vault"
  field { name: "open" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "open" }
  field { name: "marked" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "marked" options { debug_redact: true } }
  field { name: "marked_number" number: 3 label: LABEL_OPTIONAL type: TYPE_INT64 json_name: "markedNumber" options { debug_redact: true } }
  field { name: "marked_list" number: 4 label: LABEL_REPEATED type: TYPE_STRING json_name: "markedList" options { debug_redact: true } }
  field { name: "inner" number: 5 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".vault.v1.Vault" json_name: "inner" }
  field { name: "inners" number: 6 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".vault.v1.Vault" json_name: "inners" }
  field { name: "by_name" number: 7 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".vault.v1.Vault.ByNameEntry" json_name: "byName" }
  field { name: "marked_map" number: 8 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".vault.v1.Vault.MarkedMapEntry" json_name: "markedMap" options { debug_redact: true } }
  field { name: "marked_choice" number: 9 label: LABEL_OPTIONAL type: TYPE_BYTES json_name: "markedChoice" oneof_index: 0 options { debug_redact: true } }
  field { name: "open_choice" number: 10 label: LABEL_OPTIONAL type: TYPE_BYTES json_name: "openChoice" oneof_index: 0 }
  field { name: "any" number: 11 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Any" json_name: "any" }
  field { name: "marked_inner" number: 12 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".vault.v1.Vault" json_name: "markedInner" options { debug_redact: true } }
  field { name: "state" number: 13 label: LABEL_OPTIONAL type: TYPE_ENUM type_name: ".vault.v1.State" json_name: "state" }
  field { name: "free" number: 14 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" json_name: "free" }
  field { name: "grouped" number: 15 label: LABEL_OPTIONAL type: TYPE_GROUP type_name: ".vault.v1.Vault.Grouped" json_name: "grouped" }
  nested_type {
    name: "Grouped"
    field { name: "marked" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "marked" options { debug_redact: true } }
  }
  nested_type {
    name: "ByNameEntry"
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "key" }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".vault.v1.Vault" json_name: "value" }
    options { map_entry: true }
  }
  nested_type {
    name: "MarkedMapEntry"
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "key" }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "value" }
    options { map_entry: true }
  }
  oneof_decl { name: "choice" }
  extension_range { start: 100 end: 200 }
}
enum_type {
  name: "State"
  value { name: "OPEN" number: 0 }
  value { name: "BETRAYED" number: 1 options { debug_redact: true } }
}
extension { name: "marked_ext" number: 100 label: LABEL_OPTIONAL type: TYPE_STRING extendee: ".vault.v1.Vault" options { debug_redact: true } }
extension { name: "open_ext" number: 101 label: LABEL_OPTIONAL type: TYPE_STRING extendee: ".vault.v1.Vault" }
`

// vault returns the types of vaultFile and those of generated code.
func vault(t testing.TB) (protoreflect.MessageType, Types) {
	t.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(vaultFile), file); err != nil {
		t.Fatal(err)
	}
	d, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	files := new(protoregistry.Files)
	if err := files.RegisterFile(d); err != nil {
		t.Fatal(err)
	}
	types := both{dynamicpb.NewTypes(files), protoregistry.GlobalTypes}
	m, err := types.FindMessageByName("vault.v1.Vault")
	if err != nil {
		t.Fatal(err)
	}
	return m, types
}

// both finds types in two registries.
type both struct{ first, second Types }

func (b both) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if m, err := b.first.FindMessageByName(name); err == nil {
		return m, nil
	}
	return b.second.FindMessageByName(name)
}

func (b both) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if m, err := b.first.FindMessageByURL(url); err == nil {
		return m, nil
	}
	return b.second.FindMessageByURL(url)
}

func (b both) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	if m, err := b.first.FindExtensionByName(name); err == nil {
		return m, nil
	}
	return b.second.FindExtensionByName(name)
}

func (b both) FindExtensionByNumber(m protoreflect.FullName, n protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	if x, err := b.first.FindExtensionByNumber(m, n); err == nil {
		return x, nil
	}
	return b.second.FindExtensionByNumber(m, n)
}

// inVault reads a Vault.
func inVault(t testing.TB, text string) proto.Message {
	t.Helper()
	vaultType, types := vault(t)
	m := vaultType.New().Interface()
	if err := (prototext.UnmarshalOptions{Resolver: types}).Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// redactorOf returns a redactor that knows the vault. The default of its limit is 4096.
func redactorOf(t testing.TB, limit int, names ...string) *Redactor {
	t.Helper()
	_, types := vault(t)
	r, errs := New("Redact", names, types, cmp.Or(limit, 4096))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return r
}

// Marked fields are not written, in any place. The fields next to them are.
func TestMarkedFields(t *testing.T) {
	for _, test := range []struct{ name, message, want string }{
		{"both", `open: "yes" marked: "canary"`, `{"open":"yes","marked":"[redacted]"}`},
		{"empty", `marked: ""`, `{"marked":"[redacted]"}`},
		{"number", `marked_number: 4242`, `{"markedNumber":"[redacted]"}`},
		{"list", `marked_list: "canary" marked_list: "canary"`, `{"markedList":"[redacted]"}`},
		{"in a message", `inner { inner { open: "yes" marked: "canary" } }`, `{"inner":{"inner":{"open":"yes","marked":"[redacted]"}}}`},
		{"in a list", `inners { marked: "canary" } inners {}`, `{"inners":[{"marked":"[redacted]"},{}]}`},
		{
			"in a map", `by_name { key: "b" value { marked: "canary" } } by_name { key: "a" value {} }`,
			`{"byName":{"a":{},"b":{"marked":"[redacted]"}}}`,
		},
		{"map", `marked_map { key: "canary" value: "canary" }`, `{"markedMap":"[redacted]"}`},
		{"oneof", `marked_choice: "canary"`, `{"markedChoice":"[redacted]"}`},
		{"the other of a oneof", `open_choice: "yes"`, `{"openChoice":"eWVz"}`},
		{"message", `marked_inner { open: "canary" }`, `{"markedInner":"[redacted]"}`},
		{"group", `Grouped { marked: "canary" }`, `{"grouped":{"marked":"[redacted]"}}`},
		{"value of an enum", `state: BETRAYED`, `{"state":"[redacted]"}`},
		{"another value", `state: OPEN`, `{"state":"OPEN"}`},
		{
			"extensions", `[vault.v1.open_ext]: "yes" [vault.v1.marked_ext]: "canary"`,
			`{"[vault.v1.marked_ext]":"[redacted]","[vault.v1.open_ext]":"yes"}`,
		},
		{
			"in an Any", `any { [type.googleapis.com/vault.v1.Vault] { open: "yes" marked: "canary" } }`,
			`{"any":{"@type":"type.googleapis.com/vault.v1.Vault","open":"yes","marked":"[redacted]"}}`,
		},
		{
			"in an Any of a type that is linked", `any { [x.org/hauberk.test.v1.Request] { text: "yes" secret: "canary" } }`,
			`{"any":{"@type":"x.org/hauberk.test.v1.Request","text":"yes","secret":"[redacted]"}}`,
		},
		{
			"in an Any in an Any",
			`any { [a.b/google.protobuf.Any] { [a.b/vault.v1.Vault] { marked: "canary" } } }`,
			`{"any":{"@type":"a.b/google.protobuf.Any","value":{"@type":"a.b/vault.v1.Vault","marked":"[redacted]"}}}`,
		},
		{
			"in an Any of a type that is not known", `any { type_url: "a.b/no.Such" value: "canary" }`,
			`{"any":{"@type":"a.b/no.Such","value":"[redacted]"}}`,
		},
		{
			"in an Any that is no message", `any { type_url: "a.b/vault.v1.Vault" value: "canary" }`,
			`{"any":{"@type":"a.b/vault.v1.Vault","value":"[redacted]"}}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := inVault(t, test.message)
			before := proto.Clone(m)
			if got := redactorOf(t, 0).Text(m); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
			if !proto.Equal(before, m) {
				t.Error("the message was changed")
			}
		})
	}
}

// Unknown fields are not written: they may be marked in their own file.
func TestUnknownFields(t *testing.T) {
	raw, err := proto.Marshal(&testpb.Request{Text: "canary", Payload: []byte("canary"), Secret: "canary"})
	if err != nil {
		t.Fatal(err)
	}
	m := new(wrapperspb.BoolValue)
	known, err := anypb.New(wrapperspb.Bool(true))
	if err != nil {
		t.Fatal(err)
	}
	known.Value = append(known.Value, raw[:0]...)
	m.ProtoReflect().SetUnknown(raw)
	inner := &structpb.ListValue{}
	inner.ProtoReflect().SetUnknown(raw)
	for _, msg := range []proto.Message{m, inner, known} {
		if got := redactorOf(t, 0).Text(msg); strings.Contains(got, "canary") || strings.Contains(got, "Y2FuYXJ5") {
			t.Errorf("%s", got)
		}
	}
	hidden := &testpb.Response{}
	hidden.ProtoReflect().SetUnknown(raw)
	if got := redactorOf(t, 0).Text(hidden); got != "{}" {
		t.Errorf("%s, want an empty message", got)
	}
}

func TestNamedFields(t *testing.T) {
	for _, test := range []struct {
		redact        []string
		message, want string
	}{
		{[]string{"vault.v1.Vault.open"}, `open: "canary" inner { open: "canary" }`, `{"open":"[redacted]","inner":{"open":"[redacted]"}}`},
		{[]string{"open"}, `open: "canary" open_choice: "y"`, `{"open":"[redacted]","openChoice":"eQ=="}`},
		{[]string{"vault.v1.Vault.by_name"}, `by_name { key: "canary" value {} }`, `{"byName":"[redacted]"}`},
		{[]string{"password"}, `by_name { key: "password" value { open: "canary" } }`, `{"byName":{"password":"[redacted]"}}`},
		{
			[]string{"password"},
			`free { fields { key: "password" value { string_value: "canary" } } fields { key: "a" value {} } }`,
			`{"free":{"a":null,"password":"[redacted]"}}`,
		},
		{[]string{"vault.v1.open_ext"}, `[vault.v1.open_ext]: "canary"`, `{"[vault.v1.open_ext]":"[redacted]"}`},
		{[]string{"open_choice"}, `open_choice: "canary"`, `{"openChoice":"[redacted]"}`},
		{[]string{"openChoice"}, `open_choice: "canary"`, `{"openChoice":"[redacted]"}`},
		{
			[]string{"api_key"},
			`free { fields { key: "apiKey" value { string_value: "canary" } } fields { key: "api_key" value {} } }`,
			`{"free":{"apiKey":"[redacted]","api_key":"[redacted]"}}`,
		},
		{[]string{"vault.v1.Vault.ByNameEntry.key"}, `by_name { key: "canary" value {} }`, `{"byName":"[redacted]"}`},
		{
			[]string{"google.protobuf.Struct.fields"},
			`free { fields { key: "k" value { string_value: "canary" } } }`,
			`{"free":"[redacted]"}`,
		},
		{
			[]string{"google.protobuf.ListValue.values"},
			`free { fields { key: "k" value { list_value { values { string_value: "canary" } } } } }`,
			`{"free":{"k":"[redacted]"}}`,
		},
		{
			[]string{"google.protobuf.Any.value"},
			`any { [a.b/hauberk.test.v1.Request] { text: "canary" } }`,
			`{"any":"[redacted]"}`,
		},
		{
			[]string{"paths"},
			`any { [a.b/google.protobuf.FieldMask] { paths: "canary" } }`,
			`{"any":{"@type":"a.b/google.protobuf.FieldMask","value":"[redacted]"}}`,
		},
		{
			[]string{"google.protobuf.Timestamp.seconds"},
			`any { [a.b/google.protobuf.Timestamp] { seconds: 5 } }`,
			`{"any":{"@type":"a.b/google.protobuf.Timestamp","value":"[redacted]"}}`,
		},
		{
			[]string{"google.protobuf.Value.string_value"},
			`free { fields { key: "k" value { string_value: "canary" } } }`,
			`{"free":{"k":"[redacted]"}}`,
		},
	} {
		if got := redactorOf(t, 0, test.redact...).Text(inVault(t, test.message)); got != test.want {
			t.Errorf("%q: %s\nwant %s", test.redact, got, test.want)
		}
	}
}

// The text ends at the limit. The rest is not written at all.
func TestLimit(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	fields := make(map[string]*structpb.Value)
	for i := range 10_000 {
		fields[strings.Repeat("k", i%100)+string(rune('a'+i%26))] = structpb.NewStringValue(long)
	}
	var values []*structpb.Value
	for range 100_000 {
		values = append(values, structpb.NewStringValue("value"))
	}
	deep := structpb.NewStringValue("bottom")
	for range 5000 {
		deep = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{deep}})
	}
	for name, m := range map[string]proto.Message{
		"text": wrapperspb.String(long), "bytes": wrapperspb.Bytes([]byte(long)), "map": &structpb.Struct{Fields: fields},
		"list": &structpb.ListValue{Values: values}, "deep": deep, "mask": &fieldmaskpb.FieldMask{Paths: []string{long}},
		"any": &anypb.Any{TypeUrl: "a.b/" + long, Value: []byte(long)}, "message": &testpb.Request{Text: long, Payload: []byte(long)},
	} {
		for _, limit := range []int{1, 10, 1000} {
			r := redactorOf(t, limit)
			got := r.Text(m)
			if len(got) > limit+len("…") || !strings.HasPrefix(got, []string{`"`, "{", "["}[strings.IndexAny(`"{[`, got[:1])]) {
				t.Errorf("%s: %d bytes within %d: %.40s", name, len(got), limit, got)
			}
			w := writer{Redactor: r}
			w.message(m.ProtoReflect())
			if len(w.buf) > 7*(limit+2*maxName) { // each byte of a text may take six
				t.Errorf("%s: %d bytes written to have %d", name, len(w.buf), limit)
			}
		}
	}
}

// The work for a message has further limits, also if the text fits.
func TestBoundsOfWork(t *testing.T) {
	nested := func(depth int) *structpb.Value {
		v := structpb.NewStringValue("bottom")
		for range depth {
			v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
		}
		return v
	}
	pack := func(m proto.Message) *anypb.Any {
		a, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	inner := pack(wrapperspb.String("bottom"))
	for range maxDepth {
		inner = pack(inner)
	}
	long := strings.Repeat("x", maxParsed)
	for name, test := range map[string]struct {
		message        proto.Message
		want, unwanted string
	}{
		"deep":             {nested(maxDepth / 2), `"[too deep]"`, "bottom"}, // a value is two messages
		"not too deep":     {nested(maxDepth/2 - 1), "bottom", "[too deep]"},
		"deep Any":         {inner, `"value":"[redacted]"`, "bottom"},
		"long Any":         {pack(wrapperspb.String(long)), `"value":"[redacted]"`, "xx"},
		"long mask":        {&fieldmaskpb.FieldMask{Paths: []string{long}}, `{"paths":["xx`, ","},
		"long type's name": {&anypb.Any{TypeUrl: "a.b/" + long}, `…","value"`, strings.Repeat("x", maxName)},
	} {
		got := redactorOf(t, 1<<20).Text(test.message)
		if !strings.Contains(got, test.want) || strings.Contains(got, test.unwanted) {
			t.Errorf("%s: %d bytes: %.100s", name, len(got), got)
		}
	}
}

// same reports whether two texts of JSON have the same value.
func same(t testing.TB, a, b string) bool {
	t.Helper()
	var x, y any
	for text, v := range map[string]*any{a: &x, b: &y} {
		if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(v); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	return a == b || reflect.DeepEqual(x, y)
}

// knownMessages are messages with special forms in JSON.
func knownMessages(t testing.TB) []proto.Message {
	t.Helper()
	packed, err := anypb.New(durationpb.New(90_000_000_001))
	if err != nil {
		t.Fatal(err)
	}
	free, err := structpb.NewStruct(map[string]any{"a": nil, "b": 1.5e300, "c": []any{true, "x\"\u2028\x1b"}, "d": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return []proto.Message{
		&testpb.Request{Text: "<&>\x00\n\r\t\u2029🙂", Count: -5, Payload: []byte{0, 255}},
		(*testpb.Request)(nil), packed, free, new(anypb.Any), &timestamppb.Timestamp{Seconds: 1e9, Nanos: 5},
		&fieldmaskpb.FieldMask{Paths: []string{"a_b", "c"}}, wrapperspb.Int64(-1 << 63), wrapperspb.UInt64(1<<64 - 1), wrapperspb.Float(1e-30),
		wrapperspb.Double(1e21), wrapperspb.Bool(false), wrapperspb.String(""), wrapperspb.Bytes(nil), new(structpb.ListValue),
		protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto),
		protodesc.ToFileDescriptorProto(testpb.File_hauberktest_testpb_test_proto),
	}
}

// Without secrets the text is that of protojson.
func TestTextIsProtobufJSON(t *testing.T) {
	for _, m := range knownMessages(t) {
		want, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := redactorOf(t, 1<<20).Text(m); !same(t, got, string(want)) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	broken := &timestamppb.Timestamp{Seconds: -1 << 60} // protojson rejects it
	if got := redactorOf(t, 0).Text(broken); got != `{"seconds":"-1152921504606846976"}` {
		t.Errorf("a time that is none: %s", got)
	}
}

// FuzzText compares the text of any message with that of protojson, if protojson can write
// it.
func FuzzText(f *testing.F) {
	kinds := []proto.Message{
		new(descriptorpb.FileDescriptorProto), new(structpb.Value), new(anypb.Any), new(testpb.Request),
		new(timestamppb.Timestamp), new(fieldmaskpb.FieldMask), new(descriptorpb.UninterpretedOption), new(wrapperspb.FloatValue),
	}
	for _, m := range knownMessages(f) {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		for i := range kinds {
			f.Add(i, raw)
		}
	}
	r := redactorOf(f, 1<<24)
	small := redactorOf(f, 50)
	f.Fuzz(func(t *testing.T, kind int, raw []byte) {
		m := kinds[uint(kind)%uint(len(kinds))].ProtoReflect().New().Interface()
		o := proto.UnmarshalOptions{DiscardUnknown: true, AllowPartial: true, RecursionLimit: maxDepth / 4}
		if o.Unmarshal(raw, m) != nil {
			return
		}
		text := r.Text(m)
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q is not JSON", text)
		}
		if short := small.Text(m); len(short) > 50+len("…") {
			t.Fatalf("%d bytes within 50: %q", len(short), short)
		}
		want, err := protojson.MarshalOptions{AllowPartial: true, Resolver: r.types}.Marshal(m)
		if err == nil && !strings.Contains(text, Text) && !same(t, text, logtext.Clean(string(want))) {
			t.Errorf("%s\nwant %s", text, want)
		}
	})
}
