package logging

import (
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/internal/protomessage"
	"github.com/hauberk-rpc/hauberk/internal/redact"
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
		m, _ := protomessage.Of(test.msg)
		size, known := sizeOf(test.msg, m)
		if got := typeOf(test.msg, m); got != test.kind || size != test.size || known != test.known {
			t.Errorf("%T: type %s, size %d, known %t; want %+v", test.msg, got, size, known, test)
		}
	}
	m, _ := protomessage.Of(&legacy{Text: "abc"})
	if size, known := sizeOf(nil, m); m == nil || size != 5 || !known {
		t.Errorf("a message of the first API: %v, size %d, known %t", m, size, known)
	}
	r, errs := redact.New("", []string{"text"}, protoregistry.GlobalTypes, 100)
	if got := r.Text(m); len(errs) > 0 || got != `{"text":"[redacted]"}` {
		t.Errorf("its text is %s; %v", got, errs)
	}
}
