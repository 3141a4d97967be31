package hauberk_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Rule k: the request of Resume is that of the interceptor and inner ones. Outer ones read the request that they have
// seen, or nothing if it was not kept.
func TestReadAfterResume(t *testing.T) {
	passing := func(call *hauberk.Call) {
		call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
	}
	for _, c := range []struct{ hooks, before, inside bool }{
		{}, {hooks: true}, {before: true}, {inside: true},
		{hooks: true, before: true}, {hooks: true, inside: true}, {before: true, inside: true}, {true, true, true},
	} {
		hauberktest.CheckLeaks(t)
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			req, err := s.Recv()
			if err == nil && req.GetText() == "first" {
				err = s.Send(&testpb.Response{})
			}
			if err != nil {
				return err
			}
			return status.Error(codes.Unavailable, req.GetText())
		}}
		var inner []string
		outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if c.hooks {
				passing(call)
			}
			if c.before {
				if _, err := call.Read(ctx); err != nil {
					t.Error(err)
				}
			}
			err := next(ctx, call)
			got, readErr := call.Read(ctx)
			req, _ := got.(*testpb.Request)
			kept := c.before || c.inside
			if kept && req.GetText() != "first" || !kept && status.Code(readErr) != codes.Internal {
				t.Errorf("%+v: Read returned %v, %v", c, got, readErr)
			}
			return err
		}
		between := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if c.hooks {
				passing(call)
			}
			return next(ctx, call)
		}
		resuming := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			if err := call.Resume(&testpb.Request{Text: "second"}); err != nil {
				return err
			}
			for range 2 {
				err = next(ctx, call)
			}
			return err
		}
		reading := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if c.inside {
				got, err := call.Read(ctx)
				req, _ := got.(*testpb.Request)
				if inner = append(inner, req.GetText()); err != nil {
					t.Error(err)
				}
			}
			return next(ctx, call)
		}
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}.StartWith(t, backend,
			hauberk.Func(outer), hauberk.Func(between), hauberk.Func(resuming), hauberk.Func(reading))
		out := env.Call(t.Context(), "first")
		if status.Convert(out.Err).Message() != "second" || len(out.Responses) != 1 {
			t.Errorf("%+v: %d messages, and then %v", c, len(out.Responses), out.Err)
		}
		if c.inside {
			equal(t, "inside", inner, []string{"first", "second", "second"})
		}
	}
}
