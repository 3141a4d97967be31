package hedge_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// retrying retries all methods, without waits.
func retrying(attempts int) *retry.Interceptor {
	return retry.New(retry.Config{AllMethods: true, MaxAttempts: attempts},
		retry.WithSleep(func(context.Context, time.Duration) error { return nil }))
}

// TestRetryOutside: each attempt of an outer retry is hedged.
func TestRetryOutside(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		failing := step{code: codes.Unavailable}
		s := scripted(step{after: 150 * ms, code: codes.Unavailable}, failing, never, step{})
		out := call(t, start(t, kind, s, retrying(2), all(hedge.Config{})), kind)
		wantWinner(t, out, "4")
		s.wantStarts(t, 0, delay, 150*ms, 250*ms)
		if want := []string{"", "1", "1", "2"}; !slices.Equal(s.asked, want) {
			t.Errorf("grpc-previous-rpc-attempts are %q, want %q: those of both add up", s.asked, want)
		}
		s.wantCancelled(t, 1)

		s = scripted(failing)
		wantCode(t, call(t, start(t, kind, s, retrying(2), all(hedge.Config{})), kind).Err, codes.Unavailable)
		s.wantStarts(t, 0, 0, 0, 0)
	})
}

// TestRetryInside: each hedge retries separately, and counts its attempts separately.
func TestRetryInside(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		s := scripted(step{code: codes.Unavailable}, never, step{code: codes.Unavailable}, step{})
		var seen, retries numbers
		looking := hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
			n, _ := hedge.Attempt.Get(c)
			seen.add(n)
			err := next(ctx, c)
			n, _ = retry.Attempt.Get(c)
			retries.add(n)
			return err
		})
		out := call(t, start(t, kind, s, all(hedge.Config{}), retrying(2), looking), kind)
		wantWinner(t, out, "4")
		s.wantStarts(t, 0, 0, delay, delay)
		s.wantCancelled(t, 1)
		for by, n := range map[string]*numbers{"hedge": &seen, "retry": &retries} {
			if got := n.sorted(); !slices.Equal(got, []int{1, 1, 2, 2}) {
				t.Errorf("the attempts of %s are %v, want 1, 1, 2, 2", by, got)
			}
		}
	})
}

// TestBreakerInside: a cancelled attempt is neither a failure nor a success of the circuit of an inner
// breaker, and returns the permit of a probe.
func TestBreakerInside(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		b := breaker.New(breaker.Config{FailureThreshold: 2, OpenFor: time.Second, HalfOpenMaxCalls: 1})
		s := scripted()
		env := start(t, kind, s, all(hedge.Config{Delay: 10 * ms}), b)
		for range 5 { // the hedges are successes, the others nothing
			s.again(never, step{})
			wantCode(t, call(t, env, kind).Err, codes.OK)
		}
		for _, failures := range b.Failures() {
			if failures != 0 {
				t.Errorf("%d failures after cancelled attempts", failures)
			}
		}
		s.again(step{code: codes.Unavailable})
		wantCode(t, call(t, env, kind).Err, codes.Unavailable)
		for circuit, state := range b.States() {
			if state != breaker.Open {
				t.Errorf("%s is %v after two failed attempts, want open", circuit, state)
			}
		}
		// Half-open: the first attempt is the probe, the hedge is rejected and stops the hedging.
		<-time.After(time.Second)
		s.again(step{after: 50 * ms})
		wantWinner(t, call(t, env, kind), "1")
		s.wantStarts(t, 0)
		for circuit, state := range b.States() {
			if state != breaker.Closed {
				t.Errorf("%s is %v after the probe, want closed", circuit, state)
			}
		}
	})
}

// TestRejections: a rejected hedge ends neither the call nor other attempts, and a rejected first
// attempt ends the call at once.
func TestRejections(t *testing.T) {
	for rejected, code := range map[int]codes.Code{1: codes.Unavailable, 2: codes.OK} {
		simulated(t, func(t *testing.T, kind hauberk.Kind) {
			s := scripted(step{after: 300 * ms})
			rejecting := hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				if n, _ := hedge.Attempt.Get(c); n == rejected {
					return hauberk.Reject(codes.Unavailable, "FULL", "no")
				}
				return next(ctx, c)
			})
			out := call(t, start(t, kind, s, all(hedge.Config{MaxAttempts: 4}), rejecting), kind)
			wantCode(t, out.Err, code)
			if rejected == 1 {
				s.wantStarts(t)
			} else {
				s.wantStarts(t, 0)
			}
		})
	}
}

// TestLimitInside: each attempt has a slot of an inner limit until it ends, and a cancelled one
// returns it.
func TestLimitInside(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		limit := concurrency.New(concurrency.Config{Limit: 2})
		s := scripted()
		env := start(t, kind, s, all(hedge.Config{MaxAttempts: 3, NoBudget: true}), limit)
		for range 20 {
			s.again(never, step{})
			wantWinner(t, call(t, env, kind), "2")
			synctest.Wait()
			if got := limit.Limits()[0].Running; got != 0 {
				t.Fatalf("%d slots are taken after the call", got)
			}
		}
		s.again(never, never, step{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantCode(t, env.Call(ctx).Err, codes.DeadlineExceeded)
		s.wantStarts(t, 0, delay) // the third is rejected
	})
}

// TestObserversInside: inner metrics and logs are those of attempts, with their numbers, outer ones
// those of calls.
func TestObserversInside(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		calls, attempts := metrics.New(metrics.Config{}), metrics.New(metrics.Config{})
		var out strings.Builder
		logs := logging.New(logging.Config{}, logging.State("attempt", hedge.Attempt),
			logging.WithLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		s := scripted(never, step{})
		wantWinner(t, call(t, start(t, kind, s, calls, all(hedge.Config{}), logs, attempts), kind), "2")
		synctest.Wait()
		method := hauberktest.FullMethod(kind)
		outer, inner := calls.Snapshot().Client.Methods[method], attempts.Snapshot().Client.Methods[method]
		if outer.Calls != 1 || outer.Codes[codes.OK] != 1 {
			t.Errorf("calls: %+v", outer)
		}
		if inner.Calls != 2 || inner.Codes[codes.OK] != 1 || inner.Codes[codes.Canceled] != 1 || inner.InFlight != 0 {
			t.Errorf("attempts: %+v", inner)
		}
		for _, want := range []string{"attempt=1", "attempt=2"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %s in the log:\n%s", want, out.String())
			}
		}
	})
}

// TestSharedBudget: a budget bounds the attempts of all interceptors that share it.
func TestSharedBudget(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		budget := retrybudget.New(retrybudget.Config{NoFailureRatio: true})
		s := scripted(step{code: codes.Unavailable})
		hedging := all(hedge.Config{}, hedge.WithBudget(budget))
		other := all(hedge.Config{}, hedge.WithBudget(budget))
		for _, h := range []hauberk.Interceptor{hedging, other} {
			env := start(t, kind, s, h)
			for range 500 {
				wantCode(t, call(t, env, kind).Err, codes.Unavailable)
			}
		}
		if n := len(s.starts); n > 1210 || n < 1200 {
			t.Errorf("%d attempts of 1,000 calls, want 1,200 and up to 10 of the reserve", n)
		}
		s = scripted(step{code: codes.Unavailable})
		env := start(t, kind, s, all(hedge.Config{NoBudget: true}))
		for range 100 {
			call(t, env, kind)
		}
		if n := len(s.starts); n != 200 {
			t.Errorf("%d attempts without a budget, want 200", n)
		}
	})
}

// TestTokens: failures take tokens of the budget and successes give them back; cancelled and
// rejected attempts do neither (gRFC A6).
func TestTokens(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		budget := retrybudget.New(retrybudget.Config{MaxTokens: 10, TokenRatio: 0.5, NoRatio: true})
		want := func(tokens float64) {
			t.Helper()
			if got := budget.Snapshot().Tokens; got != tokens {
				t.Errorf("%v tokens, want %v", got, tokens)
			}
		}
		for _, c := range []struct {
			steps  []step
			tokens float64 // afterwards
			starts int
		}{
			{[]step{{code: codes.Unavailable}}, 8, 2},
			{[]step{{code: codes.NotFound}}, 8, 1},
			{[]step{{code: codes.NotFound, pushback: []string{"-1"}}}, 7, 1},
			{[]step{never, {}}, 7.5, 2},
			{[]step{{code: codes.Unavailable}}, 5.5, 2},
			{[]step{{code: codes.Unavailable}}, 4.5, 1},
			{[]step{{after: 150 * ms}}, 5, 1},
		} {
			s := scripted(c.steps...)
			call(t, start(t, kind, s, all(hedge.Config{}, hedge.WithBudget(budget))), kind)
			want(c.tokens)
			if len(s.starts) != c.starts {
				t.Errorf("%v: %d attempts, want %d", c.steps, len(s.starts), c.starts)
			}
		}
	})
}

// TestPanic: a panic of an inner interceptor in one attempt ends the others and reaches the
// application, or the recovery of the chain.
func TestPanic(t *testing.T) {
	for _, in := range []int{1, 2} {
		simulated(t, func(t *testing.T, kind hauberk.Kind) {
			panicking := hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
				if n, _ := hedge.Attempt.Get(c); n == in {
					<-time.After(150 * ms)
					panic("on purpose")
				}
				return next(ctx, c)
			})
			s := scripted(never)
			env := start(t, kind, s, all(hedge.Config{}), panicking)
			func() {
				defer func() {
					if v := recover(); v != "on purpose" {
						t.Errorf("the application got the panic %v", v)
					}
				}()
				call(t, env, kind)
			}()
			s.wantCancelled(t, 1)

			s = scripted(never)
			quiet := recovery.WithLogger(slog.New(slog.DiscardHandler))
			env = start(t, kind, s, recovery.New(recovery.Config{}, quiet), all(hedge.Config{}), panicking)
			wantCode(t, call(t, env, kind).Err, codes.Internal)
			s.wantCancelled(t, 1)
		})
	}
}

// TestGoexit: an inner interceptor that ends the goroutine of an attempt ends the call's, as it does
// without hedging.
func TestGoexit(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		exiting := hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
			if n, _ := hedge.Attempt.Get(c); n == 2 {
				runtime.Goexit()
			}
			return next(ctx, c)
		})
		s := scripted(never)
		env := start(t, kind, s, all(hedge.Config{}), exiting)
		err := errors.New("exited")
		done := make(chan struct{})
		go func() {
			defer close(done)
			err = call(t, env, kind).Err
		}()
		<-done
		if kind == hauberk.ServerStream {
			wantCode(t, err, codes.Internal)
		} else if err == nil || err.Error() != "exited" {
			t.Errorf("the call returned %v, want the end of its goroutine", err)
		}
		s.wantCancelled(t, 1)
	})
}

// TestFallback: the reply of an inner interceptor is a response.
func TestFallback(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		s := scripted(never)
		answering := hauberk.Func(func(ctx context.Context, c *hauberk.Call, next hauberk.Next) error {
			if n, _ := hedge.Attempt.Get(c); n == 1 {
				return next(ctx, c)
			}
			return c.Reply(response("fallback"))
		})
		out := call(t, start(t, kind, s, all(hedge.Config{}), answering), kind)
		wantCode(t, out.Err, codes.OK)
		if texts := out.Texts(); len(texts) != 1 || texts[0] != "fallback" {
			t.Errorf("responses %q", texts)
		}
		s.wantCancelled(t, 1)
	})
}

// TestHedgeInHedge: an interceptor of grpc-go inside, and a second race around, change nothing.
func TestHedgeInHedge(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		s := scripted(never, never, never, step{})
		out := call(t, start(t, kind, s, all(hedge.Config{Delay: 300 * ms}), all(hedge.Config{})), kind)
		wantWinner(t, out, "4")
		s.wantStarts(t, 0, delay, 3*delay, 4*delay)
		s.wantCancelled(t, 3)
	})
}

var errPlain = status.Error(codes.Unknown, "plain")

// TestPlainErrors: an error of an inner interceptor is an outcome like that of the server.
func TestPlainErrors(t *testing.T) {
	simulated(t, func(t *testing.T, kind hauberk.Kind) {
		s := scripted(never)
		failing := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return errPlain })
		out := call(t, start(t, kind, s, all(hedge.Config{MaxAttempts: 3}), failing), kind)
		wantCode(t, out.Err, codes.Unknown)
		if got := time.Since(s.began); got != 0 {
			t.Errorf("the call ended after %v", got)
		}
	})
}

// TestLayers: a failure that was hedged is not repeated by the client of the handler that made the
// call, unless the handler succeeds.
func TestLayers(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, code := range []codes.Code{codes.Unavailable, codes.NotFound} {
			simulated(t, func(t *testing.T, kind hauberk.Kind) {
				hedging := func() hauberk.Interceptor {
					return all(hedge.Config{
						MaxAttempts: 3, NoBudget: true, NoCallerPushback: plain,
						NonFatalStatusCodes: []codes.Code{codes.Unavailable, codes.Aborted},
					})
				}
				inner := scripted(step{code: code})
				below := start(t, kind, inner, hedging())
				outer := scripted(step{})
				outer.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
					outer.start(ctx)
					if err := below.Call(ctx).Err; err != nil {
						return status.Error(codes.Aborted, "the service below failed")
					}
					return nil
				}
				wantCode(t, call(t, start(t, kind, outer, hedging()), kind).Err, codes.Aborted)
				want := [2]int{1, 3} // calls of the outer and of the inner service
				switch {
				case code == codes.NotFound:
					want = [2]int{3, 3}
				case plain:
					want = [2]int{3, 9}
				}
				if got := [2]int{len(outer.starts), len(inner.starts)}; got != want {
					t.Errorf("%v: %v calls of both services, want %v", code, got, want)
				}
			})
		}
	}
}

// TestToleratedFailures: however many failures of hedged calls a handler tolerates, its response has
// the pushback once if it fails, and else not.
func TestToleratedFailures(t *testing.T) {
	for _, want := range []codes.Code{codes.OK, codes.Unavailable} {
		inner := start(t, hauberk.Unary, scripted(step{code: codes.Unavailable}), all(hedge.Config{}))
		out := hauberktest.Start(t, hauberktest.Setup{Kind: hauberk.Unary, Backend: &hauberktest.Backend{
			Handle: func(ctx context.Context, s hauberktest.Stream) error {
				var err error
				for range 200 {
					err = inner.Call(ctx).Err
				}
				if want != codes.OK {
					return err
				}
				return hauberktest.Echo(ctx, s)
			},
		}}).Call(t.Context(), "a")
		wantCode(t, out.Err, want)
		got := strings.Join(out.Trailer.Get("grpc-retry-pushback-ms"), ",")
		if failed := want != codes.OK; got != map[bool]string{true: "-1"}[failed] {
			t.Errorf("%v: pushback %q", want, got)
		}
	}
}
