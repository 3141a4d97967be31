package gateway

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// FuzzDecoded: a message that was received is sent as it was, also after it was copied, and a change is sent.
func FuzzDecoded(f *testing.F) {
	method, err := described(f)("/hauberk.test.v1.TestService/Unary")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil), "")
	f.Add([]byte("\x10\x01\x0a\x01x\xf8\x06\x07"), "y")
	f.Fuzz(func(t *testing.T, raw []byte, change string) {
		d := newDecoded(method.Input())
		if d.decode(&Message{Data: mem.BufferSlice{mem.SliceBuffer(raw)}}, "", 1<<20, requests) != nil {
			return
		}
		sent := func(msg any) []byte {
			m, err := encoded(msg, "request", "")
			if err != nil {
				t.Fatal(err)
			}
			return m.Data.Materialize()
		}
		moved, ok := d.NewMessage().(*decoded)
		if !ok || !moved.SetMessage(d.CloneMessage()) {
			t.Fatal("a message cannot be set to another one of its type")
		}
		for _, msg := range []any{d, moved} {
			if got := sent(msg); !bytes.Equal(got, raw) {
				t.Errorf("%x is sent as %x", raw, got)
			}
		}
		setText(d, strings.ToValidUTF8(change, ""))
		if d.changed() {
			var got testpb.Request
			if err := proto.Unmarshal(sent(d), &got); err != nil || got.GetText() != strings.ToValidUTF8(change, "") {
				t.Errorf("%v, %v", &got, err)
			}
		}
		if got := sent(moved); !bytes.Equal(got, raw) {
			t.Errorf("after a change of a copy, %x is sent as %x", raw, got)
		}
	})
}
