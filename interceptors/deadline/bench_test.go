package deadline_test

import (
	"context"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
)

// idle are interceptors that change nothing for a call with a deadline of a minute. They must not allocate.
func idle() map[string]hauberk.Interceptor {
	return map[string]hauberk.Interceptor{
		"nothing":         hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) }),
		"cap":             deadline.New(deadline.Config{Default: time.Second, Max: time.Hour}),
		"early rejection": deadline.New(deadline.Config{Default: time.Second, Max: time.Hour, MinTimeLeft: time.Millisecond}),
		"rules": deadline.New(deadline.Config{Max: time.Hour, Rules: []deadline.Rule{
			{Methods: []string{"hauberk.test.v1.TestService/*"}, Default: time.Second},
		}}),
		"typical": deadline.New(deadline.Config{Max: time.Hour, TypicalQuantile: 0.5}),
	}
}

// active are interceptors that do something for the call.
func active() map[string]hauberk.Interceptor {
	return map[string]hauberk.Interceptor{
		"applied":   deadline.New(deadline.Config{Max: time.Second}),
		"margin":    deadline.New(deadline.Config{Margin: time.Millisecond}),
		"end early": deadline.New(deadline.Config{EndEarly: true}),
		"watched":   deadline.New(deadline.Config{IdleTimeout: time.Minute}),
	}
}

// inside runs f within a call on a server, and lets it pass through interceptors as often as it likes.
func inside(t testing.TB, f func(pass func(interceptor hauberk.Interceptor) error)) {
	t.Helper()
	reached := func(context.Context, *hauberk.Call) error { return nil }
	call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			f(func(interceptor hauberk.Interceptor) error { return interceptor.Intercept(ctx, call, reached) })
			return next(ctx, call)
		}),
	)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := call(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestAllocations(t *testing.T) {
	for name, x := range idle() {
		inside(t, func(pass func(hauberk.Interceptor) error) {
			if n := testing.AllocsPerRun(1000, func() { _ = pass(x) }); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		})
	}
}

func BenchmarkIdle(b *testing.B) { benchmark(b, idle()) }

func BenchmarkActive(b *testing.B) { benchmark(b, active()) }

func benchmark(b *testing.B, interceptors map[string]hauberk.Interceptor) {
	b.Helper()
	for name, x := range interceptors {
		b.Run(name, func(b *testing.B) {
			inside(b, func(pass func(hauberk.Interceptor) error) {
				b.ReportAllocs()
				for b.Loop() {
					if err := pass(x); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
