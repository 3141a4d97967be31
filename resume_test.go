package hauberk_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

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
		{},
		{hooks: true},
		{before: true},
		{inside: true},
		{hooks: true, before: true},
		{hooks: true, inside: true},
		{before: true, inside: true},
		{hooks: true, before: true, inside: true},
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

// A message that was discarded with an attempt is received again in the next one. A stream that breaks after that can
// be resumed.
func TestResumeAfterDiscard(t *testing.T) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err == nil {
			err = s.Send(response(req.GetText()))
		}
		if err == nil && req.GetText() == "first" {
			err = status.Error(codes.Unavailable, "broken")
		}
		return err
	}}
	resuming := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		discarded, discard := false, call.Discardable()
		call.OnReceive(func(any) (bool, error) {
			if !discarded {
				discarded = discard()
			}
			return true, nil
		})
		if err := next(ctx, call); err == nil || !call.CanAttempt() {
			t.Errorf("the discarded attempt ended with %v, can attempt: %v", err, call.CanAttempt())
		}
		_ = next(ctx, call)
		if err := call.Resume(&testpb.Request{Text: "second"}); err != nil {
			return err
		}
		return next(ctx, call)
	}
	env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}.StartWith(t, backend,
		hauberk.Func(resuming))
	out := env.Call(t.Context(), "first")
	wantCode(t, out.Err, codes.OK)
	equal(t, "messages", out.Texts(), []string{"first", "second"})
}

// If the application commits the call between two attempts, so that the request is gone, the last outcome is final. It
// does so with Header once its context is done.
func TestCommittedBetweenAttempts(t *testing.T) {
	for name, hooks := range map[string]bool{"with hooks": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answered := make(chan struct{})
			again := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if err := next(ctx, call); status.Code(err) != codes.Unavailable {
					t.Errorf("the first attempt ended with %v", err)
				}
				return next(context.WithoutCancel(ctx), call)
			}
			attempts := 0
			waiting := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				attempts++
				if attempts > 1 {
					cancel()
					<-answered
				}
				return next(ctx, call)
			}
			hooking := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if hooks {
					call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
				}
				return next(ctx, call)
			}
			env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}.StartWith(t, failing(1).Backend,
				hauberk.Func(again), hauberk.Func(waiting), hauberk.Func(hooking))
			stream := open(ctx, t, env, hauberk.ServerStream)
			_, _ = stream.Header()
			close(answered)
			wantCode(t, drain(stream), codes.Unavailable)
			if attempts != 2 {
				t.Errorf("%d attempts; want 2", attempts)
			}
		})
	}
}

// Rule e: an interceptor cannot discard what an inner one has resumed: the application has the messages before. The
// interceptor that resumes can, until a message is delivered.
func TestDiscardOfResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			req, err := s.Recv()
			if err == nil && req.GetText() == "first" {
				return errors.Join(s.Send(response("first")), status.Error(codes.Unavailable, "broken"))
			}
			<-time.After(3 * time.Second)
			return s.Send(response(req.GetText()))
		}}
		outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			discard := call.Discardable()
			time.AfterFunc(time.Second, func() {
				if discard() || !call.Committed() {
					t.Error("the resumed call is not committed for an outer interceptor")
				}
			})
			return next(ctx, call)
		}
		resuming := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			discard := call.Discardable()
			_ = next(ctx, call)
			if err := call.Resume(&testpb.Request{Text: "second"}); err != nil {
				return err
			}
			bounded, cancel := context.WithCancel(ctx)
			defer cancel()
			time.AfterFunc(2*time.Second, func() {
				if !discard() {
					t.Error("the resumed call is committed for the interceptor that has resumed it")
				}
				cancel()
			})
			_ = next(bounded, call)
			return next(ctx, call)
		}
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}.StartWith(t, backend,
			hauberk.Func(outer), hauberk.Func(resuming))
		out := env.Call(t.Context(), "first")
		wantCode(t, out.Err, codes.OK)
		equal(t, "messages", out.Texts(), []string{"first", "second"})
	})
}
