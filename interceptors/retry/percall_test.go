package retry_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestWith: call options change the settings of one call; the last one of a field counts.
func TestWith(t *testing.T) {
	aborted := []codes.Code{codes.Aborted}
	for _, c := range []struct {
		name string
		opts []grpc.CallOption
		code codes.Code
		want int64 // attempts
	}{
		{"none", nil, codes.Unavailable, 3},
		{"another option", []grpc.CallOption{grpc.WaitForReady(false)}, codes.Unavailable, 3},
		{"more attempts", []grpc.CallOption{retry.With(retry.CallConfig{MaxAttempts: 5})}, codes.Unavailable, 5},
		{"one attempt", []grpc.CallOption{retry.With(retry.CallConfig{MaxAttempts: 1})}, codes.Unavailable, 1},
		{"other codes", []grpc.CallOption{retry.With(retry.CallConfig{RetryableStatusCodes: aborted})}, codes.Aborted, 3},
		{"not the configured codes", []grpc.CallOption{retry.With(retry.CallConfig{RetryableStatusCodes: aborted})}, codes.Unavailable, 1},
		{"no codes", []grpc.CallOption{retry.With(retry.CallConfig{RetryableStatusCodes: []codes.Code{}})}, codes.Unavailable, 1},
		{"nothing", []grpc.CallOption{retry.With(retry.CallConfig{})}, codes.Unavailable, 3},
		{"the last one", []grpc.CallOption{
			retry.Disable(), retry.With(retry.CallConfig{MaxAttempts: 4}), retry.With(retry.CallConfig{RetryableStatusCodes: aborted}),
		}, codes.Aborted, 4},
		{"disabled last", []grpc.CallOption{retry.With(retry.CallConfig{MaxAttempts: 4}), retry.Disable()}, codes.Unavailable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				w, b := &waits{}, failing(9, c.code)
				env := start(t, kind, b, all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep(w.sleep)))
				out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, c.opts...)
				wantCode(t, out.Err, c.code)
				wantCalls(t, b, c.want)
				out = env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, retry.Disable())
				wantCode(t, out.Err, c.code)
				wantCalls(t, b, c.want+1) // the options are those of one call
			})
		})
	}
}

// TestWithTimeout: a per-attempt timeout for one call.
func TestWithTimeout(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		synctest.Test(t, func(t *testing.T) {
			b := &backend{}
			b.Handle = func(ctx context.Context, s hauberktest.Stream) error {
				if b.calls.Add(1) == 1 {
					<-ctx.Done()
					return ctx.Err()
				}
				return hauberktest.Echo(ctx, s)
			}
			env := start(t, kind, b, all(retry.Config{MaxReplayBytes: 1 << 10, FullJitter: true}))
			begin := time.Now()
			opt := retry.With(retry.CallConfig{PerAttemptTimeout: time.Second})
			wantCode(t, env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, opt).Err, codes.OK)
			if took := time.Since(begin); took < time.Second || took > 1100*time.Millisecond {
				t.Errorf("the call took %v, want 1s and a wait", took)
			}
			wantCalls(t, b, 2)
		})
	})
}

// TestBadWith: a call with an illegal option fails without an attempt, and its message names the field.
func TestBadWith(t *testing.T) {
	for want, config := range map[string]retry.CallConfig{
		"MaxAttempts is -1":           {MaxAttempts: -1},
		"PerAttemptTimeout is -1ns":   {PerAttemptTimeout: -1},
		"RetryableStatusCodes has OK": {RetryableStatusCodes: []codes.Code{codes.OK}},
	} {
		kinds(t, func(t *testing.T, kind hauberk.Kind) {
			b := failing(0, codes.OK)
			env := start(t, kind, b, all(retry.Config{}, retry.WithSleep((&waits{}).sleep)))
			out := env.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{}}, retry.With(config))
			if kind.ClientStreams() {
				wantCode(t, out.Err, codes.OK) // it is not retried
				return
			}
			wantCode(t, out.Err, codes.Internal)
			if out.Err == nil || !strings.Contains(out.Err.Error(), want) {
				t.Errorf("got %v, want %q in it", out.Err, want)
			}
			wantCalls(t, b, 0)
		})
	}
}

// TestFullJitter: the waits are spread from 0 up to the backoff.
func TestFullJitter(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 0, 0.5: 50 * time.Millisecond, 0.75: 75 * time.Millisecond} {
		w := &waits{}
		r := all(retry.Config{FullJitter: true}, retry.WithSleep(w.sleep), retry.WithRandom(func() float64 { return random }))
		wantCode(t, start(t, hauberk.Unary, failing(1, codes.Unavailable), r).Call(t.Context()).Err, codes.OK)
		if len(w.all) != 1 || (w.all[0]-want).Abs() > time.Microsecond {
			t.Errorf("random %v: waited %v, want %v", random, w.all, want)
		}
	}
}

// TestPreviousAttempts: the server reads from each attempt how many there were before. A value of the
// application is replaced; other metadata stays.
func TestPreviousAttempts(t *testing.T) {
	for name, pairs := range map[string][]string{
		"none":     nil,
		"forged":   {"Grpc-Previous-Rpc-Attempts", "7", "a", "1"},
		"repeated": {"grpc-previous-rpc-attempts", "x", "grpc-previous-rpc-attempts", "y", "a", "1", "a", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				var values [][]string
				var previous []int
				b := &backend{}
				b.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
					values = append(values, metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts"))
					previous = append(previous, retry.PreviousAttempts(ctx))
					if got, want := metadata.ValueFromIncomingContext(ctx, "a"), strings.Count(strings.Join(pairs, ","), "a,"); len(got) != want {
						t.Errorf("a is %q, want %d values", got, want)
					}
					return status.Error(codes.Unavailable, "down")
				}
				config := retry.Config{MaxReplayBytes: 1 << 10, MaxAttempts: 4}
				env := start(t, kind, b, all(config, retry.WithSleep((&waits{}).sleep)))
				ctx := metadata.AppendToOutgoingContext(t.Context(), pairs...)
				wantCode(t, env.Call(ctx).Err, codes.Unavailable)
				if len(values) != 4 {
					t.Fatalf("%d attempts, want 4", len(values))
				}
				for n, want := range []string{"", "1", "2", "3"} {
					if got := values[n]; n > 0 && (len(got) != 1 || got[0] != want || previous[n] != n) {
						t.Errorf("attempt %d had %q, %d; want %q", n+1, got, previous[n], want)
					}
				}
			})
		})
	}
}

// TestPreviousAttemptsOfGarbage: what is no number counts as none.
func TestPreviousAttemptsOfGarbage(t *testing.T) {
	for value, want := range map[string]int{"": 0, "2": 2, "-1": 0, "x": 0, "99999999999999999999": 0} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("grpc-previous-rpc-attempts", value))
		if got := retry.PreviousAttempts(ctx); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{"grpc-previous-rpc-attempts": {"1", "2"}})
	if got := retry.PreviousAttempts(ctx) + retry.PreviousAttempts(t.Context()); got != 0 {
		t.Errorf("two values, or none: %d, want 0", got)
	}
}
