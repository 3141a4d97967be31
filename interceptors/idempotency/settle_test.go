package idempotency_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// What the handler did decides whether a key is free, and not what inner interceptors make of the outcome:
// no effect happens twice, and a call that no handler had is executed later.
func TestEffectDecides(t *testing.T) {
	after := func(err error) func(context.Context, *hauberk.Call, hauberk.Next) error {
		return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return err
		}
	}
	before := func(err error) func(context.Context, *hauberk.Call, hauberk.Next) error {
		return func(context.Context, *hauberk.Call, hauberk.Next) error { return err }
	}
	rejection := hauberk.Reject(codes.Internal, "INVALID_RESPONSE", "invalid")
	for _, c := range []struct {
		name    string
		inner   func(context.Context, *hauberk.Call, hauberk.Next) error
		handler error
		first   codes.Code
		repeat  codes.Code
		handled int64 // by both calls
	}{
		{"rejection after the handler", after(rejection), nil, codes.Internal, codes.Internal, 1},
		{"recorded rejection after the handler", func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			call.Decide(hauberk.Decision{Verdict: hauberk.Rejected, Reason: "INVALID_RESPONSE"})
			return rejection
		}, nil, codes.Internal, codes.Internal, 1},
		{"hook that rejects the response", func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(any, func(any) error) error { return rejection })
			return next(ctx, call)
		}, nil, codes.Internal, codes.Internal, 1},
		{
			"code that is not kept after the handler", after(status.Error(codes.ResourceExhausted, "large")), nil,
			codes.ResourceExhausted, codes.FailedPrecondition, 1,
		},
		{
			"code that is not kept in place of another", after(status.Error(codes.Unavailable, "x")),
			status.Error(codes.OutOfRange, "y"), codes.Unavailable, codes.FailedPrecondition, 1,
		},
		{
			"code in place of one that is not kept", after(status.Error(codes.Internal, "x")),
			status.Error(codes.Unavailable, "y"), codes.Internal, codes.Internal, 2,
		},
		{"OK in place of one that is not kept", func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return call.Reply(&testpb.Response{Text: "instead"})
		}, status.Error(codes.Unavailable, "y"), codes.OK, codes.OK, 1},
		{
			"status before the handler", before(status.Error(codes.PermissionDenied, "no")), nil,
			codes.PermissionDenied, codes.OK, 1,
		},
		{"rejection before the handler", before(rejection), nil, codes.Internal, codes.OK, 1},
		{"panic before the handler", func(context.Context, *hauberk.Call, hauberk.Next) error {
			panic("first")
		}, nil, codes.OK, codes.OK, 1},
		{"hook that rejects the request", func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(any) (bool, error) { return false, status.Error(codes.NotFound, "no") })
			return next(ctx, call)
		}, nil, codes.NotFound, codes.OK, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, detaches := range []bool{false, true} {
				first := true
				inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if first || c.handled == 2 {
						first = false
						return c.inner(ctx, call, next)
					}
					return next(ctx, call)
				})
				chain := []hauberk.Interceptor{idempotency.New(idempotency.Config{}), inner}
				if detaches { // as an inner interceptor that detaches the call once more
					chain = append(chain, coalesce.New(coalesce.Config{Methods: []string{"*"}, AcrossIdentities: true}))
				}
				w := newWorld(t, chain...)
				w.handle = func(context.Context) error { return c.handler }
				a := w.call(t.Context(), "a", "k")
				b := w.call(t.Context(), "a", "k")
				if status.Code(a.err) != c.first || status.Code(b.err) != c.repeat || w.handled.Load() != c.handled {
					t.Errorf("detached twice %t: %v, then %v, handled %d times; want %v, %v, %d",
						detaches, a.err, b.err, w.handled.Load(), c.first, c.repeat, c.handled)
				}
			}
		})
	}
}

// A handler that panics or ends its goroutine has had its effect, also if an inner interceptor makes the call on
// another goroutine.
func TestUnwoundHandler(t *testing.T) {
	for name, unwind := range map[string]func(){"panic": func() { panic("handler") }, "Goexit": runtime.Goexit} {
		for inside, inner := range map[string][]hauberk.Interceptor{
			"alone":    nil,
			"coalesce": {coalesce.New(coalesce.Config{Methods: []string{"*"}, AcrossIdentities: true})},
			"cache":    {cache.New(cache.Config{TTL: time.Hour, Methods: []string{"*"}, AcrossIdentities: true})},
		} {
			t.Run(name+"/"+inside, func(t *testing.T) {
				w := newWorld(t, append([]hauberk.Interceptor{idempotency.New(idempotency.Config{})}, inner...)...)
				w.handle = func(context.Context) error {
					unwind()
					return nil
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					w.call(t.Context(), "a", "k")
				}()
				<-ended
				if c := w.call(t.Context(), "a", "k"); status.Code(c.err) != codes.Internal || w.handled.Load() != 1 {
					t.Errorf("%v, handled %d times; want INTERNAL, and once", c.err, w.handled.Load())
				}
			})
		}
	}
}

// A message that is not UTF-8 is kept as grpc-go sends it.
func TestStatusMessage(t *testing.T) {
	w := newWorld(t, idempotency.New(idempotency.Config{}))
	w.handle = func(context.Context) error { return status.Error(codes.NotFound, "\xff") }
	w.call(t.Context(), "a", "k")
	if c := w.call(t.Context(), "a", "k"); status.Code(c.err) != codes.NotFound || status.Convert(c.err).Message() != "\ufffd" {
		t.Errorf("%v", c.err)
	}
}

// An interceptor of grpc-go inside is one like others.
func TestEffectInsideAdapter(t *testing.T) {
	for _, c := range []struct {
		name          string
		inner         func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error)
		first, repeat codes.Code
		handled       int64
	}{
		{"after the handler", func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			_, _ = handler(ctx, req)
			return nil, status.Error(codes.Unavailable, "after")
		}, codes.Unavailable, codes.FailedPrecondition, 1},
		{"before the handler", func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, status.Error(codes.PermissionDenied, "before")
		}, codes.PermissionDenied, codes.PermissionDenied, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, idempotency.New(idempotency.Config{}), hauberk.FromServer(c.inner, hauberk.PassStreamServer))
			a := w.call(t.Context(), "a", "k")
			b := w.call(t.Context(), "a", "k")
			if status.Code(a.err) != c.first || status.Code(b.err) != c.repeat || w.handled.Load() != c.handled {
				t.Errorf("%v, then %v, handled %d times; want %v, %v, %d", a.err, b.err, w.handled.Load(), c.first, c.repeat, c.handled)
			}
		})
	}
}
