package concurrency_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// ends are the ways in which a call can end inside of the limit.
func ends() map[string]hauberk.Func {
	before := func(f func()) hauberk.Func {
		return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			f()
			return next(ctx, call)
		}
	}
	return map[string]hauberk.Func{
		"success": before(func() {}),
		"panic":   before(func() { panic("on purpose") }),
		"goexit":  before(runtime.Goexit),
		"inner rejection": func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.Aborted, "NO", "no")
		},
		"inner plain error": func(context.Context, *hauberk.Call, hauberk.Next) error { return errors.New("no") },
		"failure after next": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return status.Error(codes.DataLoss, "no")
		},
		"panic after next": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			panic("on purpose")
		},
		"next twice": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return next(ctx, call)
		},
		"deadline": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			ctx, cancel := context.WithTimeout(ctx, time.Nanosecond)
			defer cancel()
			return next(ctx, call)
		},
		"cancel": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return next(ctx, call)
		},
		"hook fails": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(any) (bool, error) { return false, status.Error(codes.DataLoss, "no") })
			return next(ctx, call)
		},
		"hook panics": func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(any, func(any) error) error { panic("on purpose") })
			return next(ctx, call)
		},
	}
}

// quietRecovery recovers panics and logs nothing.
func quietRecovery() hauberk.Interceptor {
	return recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
}

// elsewhere runs f on another goroutine, which f may end.
func elsewhere(f func() error) (err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = f()
	}()
	<-ended
	return err
}

// A slot returns however a call ends, and the next call gets it.
func TestEnds(t *testing.T) {
	for _, streams := range []concurrency.Streams{concurrency.ForLife, concurrency.ForMessages} {
		for name, end := range ends() {
			t.Run(name, func(t *testing.T) {
				hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
					x := concurrency.New(concurrency.Config{Limit: 1, Streams: streams, By: callkey.Method()})
					env := c.Start(t, quietRecovery(), x, end)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					for range 3 {
						err := elsewhere(func() error { return env.Call(ctx, "a", "b").Err })
						if code := status.Code(err); code == codes.ResourceExhausted || ctx.Err() != nil {
							t.Fatalf("got %v: the slot is lost", err)
						}
						wantIdle(t, x)
					}
				})
			})
		}
	}
}

// A client that vanishes, or gives up, frees the slot of its call on both sides.
func TestVanishedClients(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		backend, x := newBlocking(), concurrency.New(concurrency.Config{Limit: 3})
		env := c.StartWith(t, &backend.Backend, x)
		ctx, cancel := context.WithCancel(t.Context())
		outcomes := []<-chan error{backend.begin(ctx, t, env), backend.begin(ctx, t, env)}
		if s := x.Snapshot(); s.Running != 2 {
			t.Errorf("%+v", s)
		}
		cancel()
		for _, o := range outcomes {
			wantCode(t, <-o, codes.Canceled)
		}
		wantIdle(t, x)
	})
}

// A key or a priority that panics leaves no slot and no group in use.
func TestPanicsOfFunctions(t *testing.T) {
	panics := func(context.Context, *hauberk.Call) (string, bool) { panic("on purpose") }
	for name, x := range map[string]*concurrency.Interceptor{
		"key":    concurrency.New(concurrency.Config{Limit: 1, By: callkey.Func("key", panics)}),
		"tenant": concurrency.New(concurrency.Config{Limit: 1, Tenant: callkey.Func("key", panics)}),
		"priority": concurrency.New(concurrency.Config{Limit: 1, MaxWaiting: 1, By: callkey.Method(), MaxKeys: 1},
			concurrency.WithPriority(func(context.Context, *hauberk.Call) int { panic("on purpose") })),
	} {
		t.Run(name, func(t *testing.T) {
			var inner error
			var call func(ctx context.Context) error
			nested := hauberk.Func(func(ctx context.Context, hc *hauberk.Call, next hauberk.Next) error {
				if inner == nil {
					inner = errors.New("runs")
					inner = call(ctx)
				}
				return next(ctx, hc)
			})
			call = serve(t, nested, quietRecovery(), x)
			_ = call(t.Context())
			if name == "priority" {
				wantCode(t, inner, codes.Internal)
			}
			if s := x.Snapshot(); s.Running != 0 || s.Waiting != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}
