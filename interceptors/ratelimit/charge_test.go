package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// charging runs f in the handler of each call.
func charging(f func(ctx context.Context) error) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if err := f(ctx); err != nil {
			return err
		}
		return hauberktest.Echo(ctx, s)
	}}
}

// A handler charges what its call has cost: later calls wait until the debt has returned. What it
// gives back can be taken again.
func TestCharge(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			clock := hauberktest.NewClock()
			limiter := ratelimit.New(ratelimit.Config{
				Limit: 10, Per: 10 * time.Second, By: callkey.Metadata("user"), Cost: ratelimit.Cost{Call: 4, Charged: true},
				Also: []ratelimit.Config{{Limit: 100, Per: time.Second, By: callkey.Global()}}, // charged by calls only
			}, ratelimit.WithClock(clock.Now))
			permits := 0
			env := hauberktest.Case{Kind: kind}.StartWith(t, charging(func(ctx context.Context) error {
				return limiter.Charge(ctx, permits)
			}), limiter)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "user", "alice")
			permits = -3 // the estimate of 4 was too high
			for range 7 {
				wantCode(t, env.Call(ctx).Err, codes.OK)
			}
			permits = 10 // 3 remain: a debt of 11, of which one burst counts
			wantCode(t, env.Call(metadata.AppendToOutgoingContext(t.Context(), "user", "bob")).Err, codes.OK)
			clock.Advance(time.Second)
			wantCode(t, env.Call(ctx).Err, codes.OK)
			wantRejection(t, env.Call(ctx).Err, "metadata:user", 14*time.Second)
			clock.Advance(14 * time.Second)
			permits = 0
			wantCode(t, env.Call(ctx).Err, codes.OK)
		})
	}
}

// Take asks for permits before a part of the work, and waits for them if it is to.
func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := ratelimit.Config{
			Limit: 2, Per: 2 * time.Second, By: callkey.Global(), Cost: ratelimit.Cost{Charged: true},
		}
		for _, c := range []struct {
			over ratelimit.OverLimit
			want codes.Code
			took time.Duration
		}{{ratelimit.End, codes.ResourceExhausted, 0}, {ratelimit.Wait, codes.OK, 2 * time.Second}} {
			config.OverLimit = c.over
			limiter, start := ratelimit.New(config), time.Now()
			env := hauberktest.Case{Kind: hauberk.ServerStream}.StartWith(t, charging(func(ctx context.Context) error {
				for range 4 {
					if err := limiter.Take(ctx, 1); err != nil {
						return err
					}
				}
				return nil
			}), limiter)
			wantCode(t, env.Call(t.Context()).Err, c.want)
			if took := time.Since(start); took != c.took {
				t.Errorf("OverLimit %d: took %v, want %v", c.over, took, c.took)
			}
		}
	})
}

// Public methods, which a limit by identity does not count, are not charged either.
func TestChargeOfSparedCalls(t *testing.T) {
	limiter := ratelimit.New(ratelimit.Config{
		Limit: 1, Per: time.Hour, By: callkey.State(userKey), Cost: ratelimit.Cost{Charged: true},
	})
	chain := hauberk.Must(hauberk.Config{Public: []string{"*"}}.New(login{}, limiter))
	env := hauberktest.Start(t, hauberktest.Setup{Server: chain, Backend: charging(func(ctx context.Context) error {
		if err := limiter.Charge(ctx, 1); err != nil {
			return err
		}
		return limiter.Take(ctx, 1)
	})})
	for range 3 {
		wantCode(t, env.Call(metadata.AppendToOutgoingContext(t.Context(), "user", "alice")).Err, codes.OK)
	}
}

func TestChargeErrors(t *testing.T) {
	plain, charged := ratelimit.New(oneAMinute), ratelimit.New(hourly(1, ratelimit.Cost{Charged: true}))
	var got []error
	env := hauberktest.Case{}.StartWith(t, charging(func(ctx context.Context) error {
		got = append(got, plain.Charge(ctx, 1), plain.Take(ctx, 1), charged.Charge(ctx, 1<<40), charged.Take(ctx, -1))
		return nil
	}), plain, charged)
	wantCode(t, env.Call(t.Context()).Err, codes.OK)
	got = append(got, charged.Charge(t.Context(), 1), charged.Take(t.Context(), 1))
	for i, want := range []string{
		"no limit of the interceptor has Cost.Charged", "no limit of the interceptor has Cost.Charged",
		"Charge was given 1099511627776 permits", "Take was given -1 permits; want 0 to",
		"Charge was given a context that belongs to no call", "Take was given a context that belongs to no call",
	} {
		if got[i] == nil || !strings.Contains(got[i].Error(), want) {
			t.Errorf("error %v, want %q", got[i], want)
		}
	}
}

// In Shadow Take neither ends nor delays a call. What would have been a rejection is recorded as not enforced.
func TestTakeInShadow(t *testing.T) {
	for _, over := range []ratelimit.OverLimit{ratelimit.End, ratelimit.Wait} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			synctest.Test(t, func(t *testing.T) {
				config := hourly(1, ratelimit.Cost{Charged: true})
				config.OverLimit = over
				limiter, seen, start := ratelimit.New(config), observe(), time.Now()
				env := hauberktest.Case{Kind: kind}.StartWith(t, charging(func(ctx context.Context) error {
					return errors.Join(limiter.Take(ctx, 1), limiter.Take(ctx, 1))
				}), seen, hauberk.Shadow(limiter))
				got := env.Call(t.Context())
				wantCode(t, got.Err, codes.OK)
				if pushback := got.Trailer.Get("grpc-retry-pushback-ms"); len(pushback) > 0 || time.Since(start) > 0 {
					t.Errorf("took %v, pushback %v", time.Since(start), pushback)
				}
				<-seen.ended
				if len(seen.decisions) != 1 || !seen.decisions[0].Shadow {
					t.Errorf("decisions %+v; want one that is not enforced", seen.decisions)
				}
			})
		}
	}
}

// Calls that do not come through the limiter are not charged.
func TestChargeOutsideOfFor(t *testing.T) {
	limiter := ratelimit.New(hourly(1, ratelimit.Cost{Charged: true}))
	env := hauberktest.Case{}.StartWith(t, charging(func(ctx context.Context) error {
		return errors.Join(limiter.Charge(ctx, 1), limiter.Take(ctx, 1))
	}), hauberk.Except([]string{"*"}, hauberk.Interceptor(limiter)))
	for range 3 {
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
	}
}

// The rejection of Take is that of the call only if the call ends with it, also in an error around it.
func TestTakeNotReturned(t *testing.T) {
	rejected := &store{}
	for name, c := range map[string]struct {
		opts   []ratelimit.Option
		fail   bool
		result func(err error) error
		want   codes.Code
	}{
		"returned":    {nil, false, func(err error) error { return err }, codes.ResourceExhausted},
		"wrapped":     {nil, false, func(err error) error { return fmt.Errorf("no row: %w", err) }, codes.ResourceExhausted},
		"ignored":     {nil, false, func(error) error { return nil }, codes.OK},
		"replaced":    {nil, false, func(error) error { return status.Error(codes.NotFound, "no") }, codes.NotFound},
		"unavailable": {[]ratelimit.Option{ratelimit.WithStore(rejected), quiet}, true, func(err error) error { return err }, codes.Unavailable},
		"unavailable, ignored": {
			[]ratelimit.Option{ratelimit.WithStore(rejected), quiet}, true, func(error) error { return nil }, codes.OK,
		},
	} {
		for _, headers := range []ratelimit.Headers{ratelimit.NoHeaders, ratelimit.AllHeaders} {
			t.Run(name, func(t *testing.T) {
				config := hourly(1, ratelimit.Cost{Charged: true})
				config.Headers = headers
				if c.opts != nil {
					config.Shared.Fail = ratelimit.FailClosed
				}
				limiter, seen := ratelimit.New(config, c.opts...), observe()
				env := hauberktest.Case{}.StartWith(t, charging(func(ctx context.Context) error {
					if err := limiter.Take(ctx, 1); err != nil {
						t.Error(err)
					}
					if c.fail {
						rejected.fail(errors.New("down"), false)
						defer rejected.fail(nil, false)
					}
					err := limiter.Take(ctx, 1)
					if err == nil {
						t.Error("the second permit was taken")
					}
					return c.result(err)
				}), seen, limiter)
				got := env.Call(t.Context())
				wantCode(t, got.Err, c.want)
				<-seen.ended
				rejected := c.want == codes.ResourceExhausted || c.want == codes.Unavailable
				if n := len(got.Trailer.Get("grpc-retry-pushback-ms")); (n == 1) != rejected || (len(seen.decisions) == 1) != rejected {
					t.Errorf("pushback %d times, decisions %+v", n, seen.decisions)
				}
				if rejected && seen.decisions[0].Interceptor != "ratelimit" {
					t.Errorf("decision %+v", seen.decisions[0])
				}
			})
		}
	}
}

// A charge counts although its call has ended meanwhile.
func TestChargeOfCancelledCall(t *testing.T) {
	for _, mode := range []ratelimit.FailureMode{ratelimit.FailLocal, ratelimit.FailClosed} {
		s := &store{}
		config := hourly(100, ratelimit.Cost{Charged: true})
		config.Shared.Fail = mode
		limiter := ratelimit.New(config, ratelimit.WithStore(s), quiet)
		charged, entered := make(chan error, 1), make(chan struct{})
		env := hauberktest.Case{}.StartWith(t, charging(func(ctx context.Context) error {
			close(entered)
			<-ctx.Done()
			charged <- limiter.Charge(ctx, 50)
			return ctx.Err()
		}), limiter)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-entered
			cancel()
		}()
		wantCode(t, env.Call(ctx).Err, codes.Canceled)
		if err := <-charged; err != nil || s.of("0") != 50 {
			t.Errorf("%v: Charge returned %v, %d permits taken", mode, err, s.of("0"))
		}
	}
}
