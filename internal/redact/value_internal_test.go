package redact

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Options of descriptors that were made at run time are read like those of generated code.
func TestMarkInDynamicOptions(t *testing.T) {
	for _, options := range []proto.Message{
		&descriptorpb.FieldOptions{DebugRedact: new(true)}, &descriptorpb.EnumValueOptions{DebugRedact: new(true)},
	} {
		mark := protoreflect.FieldNumber(markOfField)
		if _, ok := options.(*descriptorpb.EnumValueOptions); ok {
			mark = markOfValue
		}
		dynamic := dynamicpb.NewMessage(options.ProtoReflect().Descriptor())
		if isMarked(dynamic, mark) {
			t.Error("empty options count as a mark")
		}
		raw, err := proto.Marshal(options)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(raw, dynamic); err != nil {
			t.Fatal(err)
		}
		if !isMarked(dynamic, mark) || !isMarked(options, mark) {
			t.Errorf("no mark is found in %v", options)
		}
	}
	if isMarked(nil, markOfField) || isMarked(&testpb.Request{}, markOfField) {
		t.Error("a mark is found where there are no options")
	}
}

// Numbers that JSON does not have are texts, and undefined values of enums are numbers.
func TestOddValues(t *testing.T) {
	for want, m := range map[string]proto.Message{
		`"NaN"`:           wrapperspb.Double(math.NaN()),
		`"Infinity"`:      wrapperspb.Float(float32(math.Inf(1))),
		`"-Infinity"`:     structpb.NewNumberValue(math.Inf(-1)),
		`{"syntax":77}`:   &typepb.Type{Syntax: 77},
		`"a\"b\\c\u001b"`: wrapperspb.String("a\"b\\c\x1b"),
	} {
		if got := redactorOf(t, 0).Text(m); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The value of a field is that of JSON, without quotes if it is scalar.
func TestValue(t *testing.T) {
	for _, test := range []struct{ field, message, want string }{
		{"open", `open: "a \"text\"\n"`, "a \"text\"\n"},
		{"marked", `marked: "canary"`, Text},
		{"marked_list", `marked_list: "canary"`, Text},
		{"state", `state: OPEN`, "OPEN"},
		{"state", `state: BETRAYED`, Text},
		{"open_choice", `open_choice: "yes"`, "eWVz"},
		{"inner", `inner { open: "yes" marked: "canary" }`, `{"open":"yes","marked":"[redacted]"}`},
		{"inners", `inners {} inners { marked: "canary" }`, `[{},{"marked":"[redacted]"}]`},
		{"by_name", `by_name { key: "a" value { marked: "canary" } }`, `{"a":{"marked":"[redacted]"}}`},
	} {
		m := inVault(t, test.message).ProtoReflect()
		f := m.Descriptor().Fields().ByName(protoreflect.Name(test.field))
		if got, cut := redactorOf(t, 0).Value(f, m.Get(f)); got != test.want || cut {
			t.Errorf("%s: %s, cut %t; want %s", test.message, got, cut, test.want)
		}
		if got, cut := redactorOf(t, 2).Value(f, m.Get(f)); got != Text && (len(got) > 2+len("…") || !cut) {
			t.Errorf("%s: %q, cut %t; want 2 bytes", test.message, got, cut)
		}
	}
}
