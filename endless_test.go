package hauberk_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// ownError wraps itself: errors.Is does not return for it.
type ownError struct{}

func (e *ownError) Error() string { return "secret of " + e.Unwrap().Error() }
func (e *ownError) Unwrap() error { return e }

// An error that wraps itself, of a handler or of an interceptor, ends the call with UNKNOWN and a fixed text.
func TestEndlessError(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for name, config := range map[string]hauberk.Config{"default": {}, "expose errors": {ExposeErrors: true}} {
			t.Run(name, func(t *testing.T) {
				var outcome error
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					outcome = next(ctx, call)
					return outcome
				})
				endless := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if c.Side == hauberk.ServerSide {
						return next(ctx, call)
					}
					return new(ownError)
				})
				backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return new(ownError) }}
				out := c.With(config).StartWith(t, backend, outer, endless).Call(t.Context())
				if status.Code(out.Err) != codes.Unknown || !errors.Is(outcome, hauberk.ErrEndless) {
					t.Errorf("%v, and inside %v; want UNKNOWN and ErrEndless", out.Err, outcome)
				}
			})
		}
	})
}

// An error that wraps itself, of a hook, of Call.End or in the cause of a rejection, ends the call with UNKNOWN.
func TestEndlessErrorOfHooks(t *testing.T) {
	fails := func(any) error { return new(ownError) }
	for name, use := range map[string]func(call *hauberk.Call) error{
		"send": func(c *hauberk.Call) error {
			c.OnSend(func(msg any, _ func(any) error) error { return fails(msg) })
			return nil
		},
		"receive": func(c *hauberk.Call) error {
			c.OnReceive(func(msg any) (bool, error) { return true, fails(msg) })
			return nil
		},
		"waiting hook": func(c *hauberk.Call) error {
			c.OnReceiveContext(func(_ context.Context, msg any) (bool, error) { return true, fails(msg) })
			return nil
		},
		"end":       func(c *hauberk.Call) error { c.End(new(ownError)); return nil },
		"rejection": func(*hauberk.Call) error { return &hauberk.Rejection{Code: codes.NotFound, Cause: new(ownError)} },
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				if name == "end" && c.Side == hauberk.ClientSide {
					return // it has no effect there
				}
				outcomes := make(chan error, 1)
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					err := next(ctx, call)
					outcomes <- err
					return err
				})
				inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if err := use(call); err != nil {
						return err
					}
					return next(ctx, call)
				})
				out := c.Start(t, outer, inner).Call(t.Context(), "a")
				outcome := <-outcomes
				if status.Code(out.Err) != codes.Unknown || !errors.Is(outcome, hauberk.ErrEndless) {
					t.Errorf("%v, and inside %v; want UNKNOWN and ErrEndless", out.Err, outcome)
				}
			})
		})
	}
}

// The same holds for an interceptor that returns while its next runs on another goroutine.
func TestEndlessErrorDuringNext(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		entered, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			go func() {
				defer close(done)
				_ = next(ctx, call)
			}()
			<-entered
			return new(ownError)
		})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			close(entered)
			<-release
			return hauberktest.Echo(ctx, s)
		}}
		out := c.StartWith(t, backend, inner).Call(t.Context(), "a")
		close(release)
		<-done
		if status.Code(out.Err) != codes.Unknown {
			t.Errorf("%v; want UNKNOWN", out.Err)
		}
	})
}
