package hauberk_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

func TestFromContextOutsideOfCalls(t *testing.T) {
	if call := hauberk.FromContext(t.Context()); call != nil {
		t.Errorf("there is a call: %v", call)
	}
	if ctx := hauberk.Incoming(t.Context()); hauberk.FromContext(ctx) != nil {
		t.Error("there is an incoming call")
	}
}

type valueKey struct{}

// TestFromContext finds the call in the contexts of interceptors and handler, and leaves
// the other values where they are.
func TestFromContext(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		calls := make(chan *hauberk.Call, 3)
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			calls <- call
			calls <- hauberk.FromContext(ctx)
			if c.Side == hauberk.ServerSide && hauberk.FromContext(hauberk.Incoming(ctx)) != call {
				t.Error("the incoming call of a server's interceptor is another")
			}
			if c.Side == hauberk.ClientSide && hauberk.FromContext(hauberk.Incoming(ctx)) != nil {
				t.Error("a client's interceptor has an incoming call")
			}
			if c.Side == hauberk.ClientSide && ctx.Value(valueKey{}) != "value" {
				t.Error("the application's context is lost")
			}
			return next(context.WithValue(ctx, valueKey{}, "changed"), call)
		})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			calls <- hauberk.FromContext(ctx)
			if _, ok := metadata.FromIncomingContext(ctx); !ok || c.Side == hauberk.ServerSide && ctx.Value(valueKey{}) != "changed" {
				t.Error("the handler's context is not that of the innermost next")
			}
			return hauberktest.Echo(ctx, s)
		}}
		env := c.StartWith(t, backend, interceptor)
		out := env.Call(context.WithValue(t.Context(), valueKey{}, "value"))
		wantCode(t, out.Err, codes.OK)
		own, inInterceptor, inHandler := <-calls, <-calls, <-calls
		if own == nil || inInterceptor != own {
			t.Errorf("in the interceptor: %p, want %p", inInterceptor, own)
		}
		if c.Side == hauberk.ServerSide && inHandler != own {
			t.Errorf("in the handler: %p, want %p", inHandler, own)
		}
		if c.Side == hauberk.ClientSide && (inHandler == own || inHandler.Side() != hauberk.ServerSide) {
			t.Errorf("in the handler of a server without interceptors: %p of a client, %p", own, inHandler)
		}
	})
}

// TestIncoming makes an outgoing call inside a handler, of every kind: it inherits
// no state, and reaches that of the incoming call by asking.
func TestIncoming(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var j journal
			inherit := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				j.add("inherited " + userKey.Or(ctx, "no one") + ", asked for " + userKey.Or(hauberk.Incoming(ctx), "no one"))
				userKey.Set(call, "outgoing")
				j.add("own " + userKey.Or(ctx, "no one") + ", incoming " + userKey.Or(hauberk.Incoming(ctx), "no one"))
				return next(ctx, call)
			})
			farther := hauberktest.Start(t, hauberktest.Setup{
				Kind: kind, Client: hauberk.Must(hauberk.New(inherit)),
				Backend: &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					j.add("on the other server " + userKey.Or(ctx, "no one"))
					return hauberktest.Echo(ctx, s)
				}},
			})
			nearer := hauberktest.Start(t, hauberktest.Setup{
				Kind: kind,
				Server: hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					userKey.Set(call, "alice")
					return next(ctx, call)
				}))),
				Backend: &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					ctx, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					if out := farther.Call(ctx); out.Err != nil {
						return out.Err
					}
					j.add("in the handler " + userKey.Or(ctx, "no one"))
					return hauberktest.Echo(ctx, s)
				}},
			})
			wantCode(t, nearer.Call(t.Context()).Err, codes.OK)
			equal(t, "state", j.all(), []string{
				"inherited no one, asked for alice", "own outgoing, incoming alice",
				"on the other server no one", "in the handler alice",
			})
		})
	}
}

// TestCallOutlivesItsCall keeps a call, as a goroutine of a handler may.
func TestCallOutlivesItsCall(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		kept := make(chan *hauberk.Call, 2)
		env := c.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			userKey.Set(call, "alice")
			call.Decide(hauberk.Decision{Interceptor: "authz"})
			err := next(ctx, call)
			kept <- call
			return err
		}))
		for range 2 {
			wantCode(t, env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{{Text: "x"}}).Err, codes.OK)
		}
		env.Server.GracefulStop()
		first, second := <-kept, <-kept
		if first == second {
			t.Error("two calls share a Call")
		}
		if user, _ := userKey.Get(first); user != "alice" || len(first.Decisions().All()) != 1 || first.Kind() != c.Kind ||
			first.Side() != c.Side || first.Method().FullName() != hauberktest.FullMethod(c.Kind) {
			t.Errorf("a call that has ended reads %q, %+v, %s", user, first.Decisions().All(), first.Method().FullName())
		}
	})
}
