package retry_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestBreakerOfServer: a client without a deadline that retries does not wait for the circuit breaker
// of its server: not while the circuit is open, and not while it is half-open and a probe runs.
func TestBreakerOfServer(t *testing.T) {
	for _, c := range []struct {
		name    string
		config  breaker.Config
		already time.Duration // since the circuit has opened
		most    time.Duration
	}{
		{"open", breaker.Config{}, time.Second, time.Second},
		{"half-open", breaker.Config{OpenFor: 4 * time.Second}, 5 * time.Second, time.Second},
		{"open for a short time", breaker.Config{OpenFor: 4 * time.Second}, 2 * time.Second, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
					if b.calls.Add(1) <= breaker.DefaultFailureThreshold {
						return hauberk.Reject(codes.Unavailable, "DOWN", "down")
					}
					<-time.After(50 * time.Millisecond)
					return hauberktest.Echo(ctx, s)
				}
				inner := start(t, hauberk.Unary, b, breaker.New(c.config))
				for range breaker.DefaultFailureThreshold {
					_ = inner.Call(t.Context(), "x")
				}
				<-time.After(c.already)
				between := &backend{}
				between.Handle = func(ctx context.Context, s hauberktest.Stream) error {
					if err := inner.Call(ctx, "x").Err; err != nil {
						return err
					}
					return hauberktest.Echo(ctx, s)
				}
				env := start(t, hauberk.Unary, between, all(retry.Config{}))
				var calls sync.WaitGroup
				for range 10 {
					calls.Go(func() {
						begin := time.Now()
						out := env.Call(t.Context(), "x")
						if took := time.Since(begin); took > c.most {
							t.Errorf("a call took %v and ended with %v; want at most %v", took, out.Err, c.most)
						}
					})
				}
				calls.Wait()
			})
		})
	}
}

// TestServerDelayHasJitter: a RetryInfo that is longer than the backoff gets jitter, so that clients
// do not return at once; it is never shortened.
func TestServerDelayHasJitter(t *testing.T) {
	least := time.Second
	for _, c := range []struct {
		name   string
		config retry.Config
		random float64
		want   time.Duration
	}{
		{"none", retry.Config{NoJitter: true}, 0.5, least},
		{"the default, low", retry.Config{}, 0, least},
		{"the default, middle", retry.Config{}, 0.5, least + 100*time.Millisecond},
		{"full, low", retry.Config{FullJitter: true}, 0, least},
		{"full, middle", retry.Config{FullJitter: true}, 0.5, least + 50*time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				w, b := &waits{}, &backend{}
				b.Handle = func(context.Context, hauberktest.Stream) error {
					b.calls.Add(1)
					return unavailable(t, &least)
				}
				c.config.MaxAttempts, c.config.MaxReplayBytes = 2, 1<<10
				r := all(c.config, retry.WithSleep(w.sleep), retry.WithRandom(func() float64 { return c.random }))
				wantCode(t, start(t, kind, b, r).Call(t.Context()).Err, codes.Unavailable)
				wantCalls(t, b, 2)
				if len(w.all) != 1 || w.all[0] != c.want {
					t.Errorf("waited %v, want %v", w.all, c.want)
				}
			})
		})
	}
}
