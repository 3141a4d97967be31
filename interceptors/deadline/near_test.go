package deadline_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

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
