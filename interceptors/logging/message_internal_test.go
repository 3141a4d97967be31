package logging

import (
	"math"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// legacy is a message of protobuf's first API.
type legacy struct {
	Text string `protobuf:"bytes,1,opt,name=text"`
}

func (l *legacy) Reset()         { *l = legacy{} }
func (l *legacy) String() string { return l.Text }
func (*legacy) ProtoMessage()    {}

func TestTypesAndSizes(t *testing.T) {
	raw := []byte("raw")
	for _, test := range []struct {
		msg   any
		kind  string
		size  int
		known bool
	}{
		{&testpb.Request{Text: "abc"}, "hauberk.test.v1.Request", 5, true},
		{(*testpb.Request)(nil), "hauberk.test.v1.Request", 0, true},
		{raw, "[]uint8", 3, true},
		{&raw, "*[]uint8", 3, true},
		{(*[]byte)(nil), "*[]uint8", 0, false},
		{mem.BufferSlice{mem.SliceBuffer(raw)}, "mem.BufferSlice", 3, true},
		{"text", "string", 0, false},
		{nil, "<nil>", 0, false},
	} {
		m := protoOf(test.msg)
		size, known := sizeOf(test.msg, m)
		if got := typeOf(test.msg, m); got != test.kind || size != test.size || known != test.known {
			t.Errorf("%T: type %s, size %d, known %t; want %+v", test.msg, got, size, known, test)
		}
	}
	m := protoOf(&legacy{Text: "abc"})
	if size, known := sizeOf(nil, m); m == nil || size != 5 || !known {
		t.Errorf("a message of the first API: %v, size %d, known %t", m, size, known)
	}
	if got := redactorOf(t, Payloads{Redact: []string{"text"}}).text(m); got != `{"text":"[redacted]"}` {
		t.Errorf("its text is %s", got)
	}
}

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
		if got := redactorOf(t, Payloads{}).text(m); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
