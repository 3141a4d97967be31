package deadline_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
)

// TestDeadlineIsNear: a call that arrives with next to no time left, or none, ends with DEADLINE_EXCEEDED in every
// configuration.
func TestDeadlineIsNear(t *testing.T) {
	const long = time.Hour
	configs := map[string]deadline.Config{
		"default":          {Default: long},
		"cap":              {Max: long},
		"short cap":        {Max: 3},
		"margin":           {Margin: long},
		"short margin":     {Margin: 1},
		"end early":        {EndEarly: true},
		"typical":          {TypicalQuantile: 0.5},
		"message timeouts": {ReceiveTimeout: long, SendTimeout: long, IdleTimeout: long},
		"all": {
			Default: long, Max: long, Margin: 1, EndEarly: true, TypicalQuantile: 0.5, IdleTimeout: long,
		},
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			matrix(t, func(t *testing.T, m hauberktest.Case) {
				var left time.Duration
				near := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					ctx, cancel := context.WithTimeout(ctx, left)
					defer cancel()
					return next(ctx, call)
				})
				b := handler(func(ctx context.Context, _ hauberktest.Stream) error {
					<-ctx.Done()
					pass(time.Second)
					return ctx.Err()
				})
				env := m.StartWith(t, b, near, deadline.New(config))
				for _, left = range []time.Duration{-1, 0, 1, 2, 5, 9, 10, 11, 19, 20, 21, time.Microsecond} {
					wantCode(t, env.Call(t.Context()).Err, codes.DeadlineExceeded)
				}
			})
		})
	}
}

// TestCancelledBeforeItsDeadline: a call whose caller has cancelled it before its deadline passed ends as without the
// interceptor.
func TestCancelledBeforeItsDeadline(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		for _, config := range []deadline.Config{{Max: time.Hour}, {MinTimeLeft: time.Hour}} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			cancel()
			<-time.After(2 * time.Millisecond)
			m := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			want := m.Start(t).Call(ctx).Err
			wantCode(t, want, codes.Canceled)
			if got := m.Start(t, deadline.New(config)).Call(ctx).Err; status.Convert(got).String() != status.Convert(want).String() {
				t.Errorf("%v with %+v: %v, want %v", kind, config, got, want)
			}
		}
	}
}

// TestDistantDeadline: a deadline is one of the caller, however distant it is.
func TestDistantDeadline(t *testing.T) {
	matrix(t, func(t *testing.T, m hauberktest.Case) {
		distant := time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)
		caller := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			ctx, cancel := context.WithDeadline(ctx, distant)
			defer cancel()
			return next(ctx, call)
		})
		var got time.Time
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			got, _ = ctx.Deadline()
			return next(ctx, call)
		})
		wantCode(t, m.Start(t, caller, deadline.New(deadline.Config{Default: time.Minute}), inner).Call(t.Context()).Err, codes.OK)
		if !got.Equal(distant) {
			t.Errorf("the deadline is %v, want %v", got, distant)
		}
	})
}
