package frametransport

import (
	"context"
	"testing"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// TestContextOfACall: grpc-go finds the metadata and the stream of a call in its context, and
// the fields of the request are forwarded as they are unless the metadata was replaced.
func TestContextOfACall(t *testing.T) {
	type key struct{}
	keys := newContextKeys()
	fields := []hpack.HeaderField{{Name: "x-k", Value: "v"}}
	start := func() (*inbound, context.Context) {
		in := &inbound{fields: fields, request: transport.Request{Method: "/a.B/C"}}
		in.base = callContext{
			Context: context.WithValue(t.Context(), key{}, "outer"), keys: &keys, in: in, md: metadata.Pairs("x-k", "v"),
		}
		return in, context.WithValue(&in.base, "another", "value") //nolint:revive,staticcheck // as a careless interceptor does
	}
	in, ctx := start()
	if md, ok := metadata.FromIncomingContext(ctx); !ok || len(md) != 1 || md["x-k"][0] != "v" {
		t.Errorf("the metadata is %v", md)
	}
	if method, ok := grpc.Method(ctx); !ok || method != "/a.B/C" {
		t.Errorf("the method is %q", method)
	}
	if ctx.Value(key{}) != "outer" {
		t.Error("a value of the connection's context is missing")
	}
	if got := in.Fields(ctx); len(got) != 1 || got[0] != fields[0] {
		t.Errorf("the fields are %v, want %v", got, fields)
	}
	in, ctx = start()
	for name, ctx := range map[string]context.Context{
		"the same metadata in another map": metadata.NewIncomingContext(ctx, metadata.Pairs("x-k", "v")),
		"no metadata":                      t.Context(),
	} {
		if got := in.Fields(ctx); got != nil {
			t.Errorf("%s: the fields are %v, want none", name, got)
		}
	}
}
