package hauberk_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

var detachKey = hauberk.NewKey[string]("detach")

// A detached copy of a unary call ends on its own goroutine, and the call adopts its response, header,
// trailer, status and decisions. Streams are rejected.
func TestDetach(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			_ = grpc.SetHeader(ctx, metadata.Pairs("h", "1"))
			_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))
			return hauberktest.Echo(ctx, s)
		}}
		var state, errText string
		var decisions []hauberk.Decision
		outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			detachKey.Set(call, "outer")
			err := next(ctx, call)
			decisions = call.Decisions().Recorded()
			return err
		}
		detaching := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			inside, copied, err := call.Detach(context.WithoutCancel(ctx))
			if err != nil {
				errText = status.Convert(err).Message()
				return next(ctx, call)
			}
			done := make(chan error)
			go func() { done <- next(inside, copied) }()
			err = <-done
			call.Adopt(copied)
			return err
		}
		inner := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			state, _ = detachKey.Get(call)
			if call.Kind() == hauberk.Unary && hauberk.FromContext(ctx) != call {
				t.Error("the context is that of another call")
			}
			call.Decide(hauberk.Decision{Interceptor: "inner", Rule: "r", Verdict: hauberk.Allowed})
			if len(call.Metadata(ctx, "reject")) > 0 {
				return hauberk.Reject(codes.ResourceExhausted, "FULL", "full")
			}
			return next(ctx, call)
		}
		env := c.StartWith(t, backend, hauberk.Func(outer), hauberk.Func(detaching), hauberk.Func(inner))
		out := env.Call(t.Context())
		if out.Err != nil || out.Texts()[0] != "echo:hello" || out.Header.Get("h") == nil || out.Trailer.Get("t") == nil {
			t.Errorf("outcome %+v; want the response, header and trailer", out)
		}
		if state != "outer" || len(decisions) != 1 || decisions[0].Interceptor != "inner" {
			t.Errorf("state %q, decisions %v", state, decisions)
		}
		if unary := c.Kind == hauberk.Unary; unary != (errText == "") {
			t.Errorf("Detach failed with %q", errText)
		}
		rejected := env.Call(metadata.AppendToOutgoingContext(t.Context(), "reject", "1"))
		if status.Code(rejected.Err) != codes.ResourceExhausted || len(decisions) != 2 {
			t.Errorf("%v with decisions %v; want one rejection", rejected.Err, decisions)
		}
	})
}

// A reply can have a header and a trailer, which the caller receives on both sides.
func TestSetReplyMetadata(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		env := c.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := call.SetReplyMetadata(metadata.Pairs("h", "1"), metadata.Pairs("t", "1"))
			if (err == nil) != (c.Kind == hauberk.Unary) {
				t.Errorf("SetReplyMetadata returned %v", err)
			}
			if err != nil {
				return next(ctx, call)
			}
			if err := call.SetReplyMetadata(metadata.MD{"Bad Key": {"1"}}, nil); status.Code(err) != codes.Internal {
				t.Errorf("an illegal key: %v", err)
			}
			return call.Reply(&testpb.Response{Text: "kept"})
		}))
		out := env.Call(t.Context())
		if c.Kind == hauberk.Unary &&
			(out.Err != nil || out.Texts()[0] != "kept" || out.Header.Get("h") == nil || out.Trailer.Get("t") == nil) {
			t.Errorf("outcome %+v", out)
		}
	})
}
