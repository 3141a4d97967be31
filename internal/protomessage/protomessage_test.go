package protomessage_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/internal/protomessage"
)

// first is a message of the first API.
type first struct {
	Text string `protobuf:"bytes,1,opt,name=text,proto3"`
}

func (*first) Reset()         {}
func (*first) String() string { return "" }
func (*first) ProtoMessage()  {}

// Messages of both APIs are recognized, and nothing else is.
func TestOf(t *testing.T) {
	current := wrapperspb.String("abc")
	if m, ok := protomessage.Of(current); !ok || m != proto.Message(current) {
		t.Errorf("a message is %v, %t; want the message", m, ok)
	}
	m, ok := protomessage.Of(&first{Text: "abc"})
	if !ok {
		t.Fatal("a message of the first API is not recognized")
	}
	if b, err := proto.Marshal(m); err != nil || string(b) != "\n\x03abc" {
		t.Errorf("it is encoded as %q, %v", b, err)
	}
	for _, other := range []any{nil, "abc", []byte("abc"), first{}} {
		if m, ok := protomessage.Of(other); ok || m != nil {
			t.Errorf("%#v is %v, %t; want none", other, m, ok)
		}
	}
}
