package hauberk_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// untilCancelled is a backend whose handlers run until their context is done.
func untilCancelled(entered chan<- struct{}) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}
}

// ender ends a call when its handler has begun.
func ender(entered <-chan struct{}, err error, more ...func(call *hauberk.Call)) hauberk.Interceptor {
	x := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			<-entered
			call.End(err)
			for _, f := range more {
				f(call)
			}
		}()
		outcome := next(ctx, call)
		<-done
		return outcome
	})
	return hauberk.Declare(x, hauberk.Declaration{Name: "ender", Decides: true})
}

// TestCallEnd: Call.End ends a call of a server for its client, with the context of the handler. It has no
// effect on a client.
func TestCallEnd(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		entered := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		rejection := hauberk.Reject(codes.Unavailable, "SOME_EVENT", "An event")
		stop := func(*hauberk.Call) { cancel() }
		if c.Side == hauberk.ServerSide {
			stop = func(call *hauberk.Call) { call.End(status.Error(codes.DataLoss, "second")) }
		}
		env := c.With(hauberk.Config{ErrorDomain: "shop.example"}).StartWith(t, untilCancelled(entered), ender(entered, rejection, stop))
		err := env.Call(ctx).Err
		if c.Side == hauberk.ClientSide {
			wantCode(t, err, codes.Canceled)
			return
		}
		wantCode(t, err, codes.Unavailable)
		if hauberk.Reason(err) != "SOME_EVENT" || hauberk.ReasonDomain(err) != "shop.example" {
			t.Errorf("reason %q of %q", hauberk.Reason(err), hauberk.ReasonDomain(err))
		}
	})
}

// TestCallEndWithoutError: a call that is ended without an error is INTERNAL.
func TestCallEndWithoutError(t *testing.T) {
	entered := make(chan struct{}, 1)
	env := hauberktest.Case{Kind: hauberk.Bidi}.StartWith(t, untilCancelled(entered), ender(entered, nil))
	wantCode(t, env.Call(patient(t)).Err, codes.Internal)
}

// TestCallEndInShadow: Call.End has no effect on the copy that an interceptor in shadow has.
func TestCallEndInShadow(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream, hauberk.Bidi} {
		entered, release := make(chan struct{}, 1), make(chan struct{})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			entered <- struct{}{}
			<-release
			return hauberktest.Echo(ctx, s)
		}}
		x := ender(entered, hauberk.Reject(codes.Unavailable, "SOME_EVENT", ""), func(*hauberk.Call) { close(release) })
		env := hauberktest.Case{Kind: kind}.StartWith(t, backend, hauberk.Shadow(x))
		wantCode(t, env.Call(patient(t)).Err, codes.OK)
	}
}

// TestCallEndBeforeTheHandler: a call that was ended before its handler has begun does not reach it, also if an
// interceptor between them ignores the context, and next returns the error.
func TestCallEndBeforeTheHandler(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Side == hauberk.ClientSide {
			return // Call.End has no effect
		}
		handled, seen := make(chan struct{}, 1), make(chan error, 1)
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			handled <- struct{}{}
			return hauberktest.Echo(ctx, s)
		}}
		rejection := hauberk.Reject(codes.Unavailable, "SOME_EVENT", "An event")
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			seen <- err
			return err
		})
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.End(rejection)
			call.End(status.Error(codes.DataLoss, "second"))
			return next(context.WithoutCancel(ctx), call)
		})
		env := c.StartWith(t, backend, outer, inner)
		wantCode(t, env.Call(patient(t)).Err, codes.Unavailable)
		if err := <-seen; hauberk.Reason(err) != "SOME_EVENT" {
			t.Errorf("the chain sees %v", err)
		}
		if len(handled) > 0 {
			t.Error("the handler ran")
		}
	})
}
