package composition_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
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
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// The tests of this file are reports of users of other projects, which are named, with the outcome that they expected.

// handling is a backend with a handler.
func handling(handle func(ctx context.Context, s hauberktest.Stream) error) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: handle}
}

// exhausted returns a budget that has no attempt left.
func exhausted(t *testing.T, config retrybudget.Config) *retrybudget.Budget {
	t.Helper()
	budget := retrybudget.New(config)
	for budget.Take() {
		budget.Failure()
	}
	if err := budget.Err(); err != nil {
		t.Fatal(err)
	}
	return budget
}

// hedging returns a hedge of all methods.
func hedging(budget *retrybudget.Budget) *hedge.Interceptor {
	return hedge.New(hedge.Config{AllMethods: true, MaxAttempts: 3, Delay: backoff}, hedge.WithBudget(budget))
}

// TestReportHedgeWithoutBudget: a budget that allows no hedge leaves the attempts alone that run (failsafe-go#141).
func TestReportHedgeWithoutBudget(t *testing.T) {
	bubbles(t, kindsOf("hedge"), func(t *testing.T, kind hauberk.Kind) {
		budget := exhausted(t, retrybudget.Config{NoReserve: true})
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, handling(
			func(ctx context.Context, s hauberktest.Stream) error {
				<-time.After(5 * backoff)
				return hauberktest.Echo(ctx, s)
			}), hedging(budget))
		began := time.Now()
		if out := env.Call(t.Context(), "a"); out.Err != nil || time.Since(began) != 5*backoff {
			t.Errorf("the call ended with %v after %v, want OK after %v", out.Err, time.Since(began), 5*backoff)
		}
	})
}

// TestReportThrottledHedge: a call whose only attempt has failed while the budget allows no hedge ends then, and not at
// its deadline (grpc-java#7222).
func TestReportThrottledHedge(t *testing.T) {
	bubbles(t, kindsOf("hedge"), func(t *testing.T, kind hauberk.Kind) {
		budget := exhausted(t, retrybudget.Config{NoRatio: true, MaxTokens: 10})
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, handling(
			func(context.Context, hauberktest.Stream) error { return status.Error(codes.Unavailable, "busy") },
		), hedging(budget))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		if out := env.Call(ctx, "a"); status.Code(out.Err) != codes.Unavailable || time.Since(began) != 0 {
			t.Errorf("the call ended with %v after %v, want UNAVAILABLE at once", out.Err, time.Since(began))
		}
	})
}

// TestReportRetryWithoutConnection: a call that waits for a connection, between attempts or in one, ends at its deadline,
// as with bare grpc-go (grpc-java#10838, grpc-java#12620, grpc#39935).
func TestReportRetryWithoutConnection(t *testing.T) {
	const all = 3 * time.Second
	for name, config := range map[string]*retry.Config{
		"bare":                       nil,
		"retry":                      {},
		"with a timeout of attempts": {PerAttemptTimeout: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
				setup := hauberktest.Setup{Kind: kind, DialOptions: []grpc.DialOption{
					grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("no route") }),
				}}
				if config != nil {
					config := *config
					config.AllMethods, config.MaxReplayBytes, config.NoBudget, config.MaxAttempts = true, 1<<10, true, 10
					setup.Client = hauberk.Must(hauberk.New(retry.New(config)))
				}
				env := hauberktest.Start(t, setup)
				ctx, cancel := context.WithTimeout(t.Context(), all)
				defer cancel()
				began := time.Now()
				out := env.Do(ctx, hauberktest.FullMethod(kind), []*testpb.Request{{}}, grpc.WaitForReady(true))
				if status.Code(out.Err) != codes.DeadlineExceeded || time.Since(began) > all {
					t.Errorf("the call ended with %v after %v, want DEADLINE_EXCEEDED after at most %v", out.Err, time.Since(began), all)
				}
			})
		})
	}
}

// TestReportBudgetAfterSilence: a budget that was used up while there were calls is restored by those after a long time
// without any (venice#1498).
func TestReportBudgetAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := exhausted(t, retrybudget.Config{})
		<-time.After(24 * time.Hour)
		for range 5 {
			budget.Call()
		}
		if !budget.Take() {
			t.Error("no extra attempt after five calls")
		}
	})
}

// TestReportTrailersOnly: the metadata that interceptors of a server add to a failed response do not keep a client of
// bare grpc-go from retrying it (istio#18423, grpc-go#3125, nice-grpc#722).
func TestReportTrailersOnly(t *testing.T) {
	const policy = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.001s",
		"maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
		parts := serverParts()
		list := []hauberk.Interceptor{
			ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Hour, Headers: ratelimit.AllHeaders}),
		}
		for _, name := range serverOrder {
			if name != "authn" && !readsUser(name) && name != "ratelimit by user" {
				list = append(list, parts[name])
			}
		}
		var attempts atomic.Int64
		env := hauberktest.Start(t, hauberktest.Setup{
			Kind: kind, Server: hauberk.Must(hauberk.New(list...)),
			DialOptions: []grpc.DialOption{grpc.WithDefaultServiceConfig(policy)},
			Backend: handling(func(context.Context, hauberktest.Stream) error {
				attempts.Add(1)
				return status.Error(codes.Unavailable, "down")
			}),
		})
		out := env.Call(t.Context(), "a")
		if n := attempts.Load(); n != 3 || status.Code(out.Err) != codes.Unavailable {
			t.Errorf("%d attempts, and %v; want 3, and UNAVAILABLE", n, out.Err)
		}
	})
}

// TestReportCallInsideAttempt: a call that an inner interceptor makes while another call is attempted again has separate
// attempts (kitex#1194).
func TestReportCallInsideAttempt(t *testing.T) {
	for _, repeat := range []string{"retry", "hedge"} {
		t.Run(repeat, func(t *testing.T) {
			bubbles(t, kindsOf(repeat), func(t *testing.T, kind hauberk.Kind) {
				c := newClient(t)
				c.steps = []step{down, down, down, {}, {}}
				var inner *hauberktest.Env
				var nested []error
				asks := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					nested = append(nested, inner.Call(ctx, "inner").Err)
					return next(ctx, call)
				})
				backend := handling(c.handle)
				inner = hauberktest.Start(t, hauberktest.Setup{
					Backend: backend, Client: hauberk.Must(hauberk.New(c.parts[repeat])),
				})
				outer := hauberktest.Start(t, hauberktest.Setup{
					Kind: kind, Backend: backend, Client: hauberk.Must(hauberk.New(c.parts[repeat], asks)),
				})
				out := outer.Call(t.Context(), "outer")
				if got := fmt.Sprint(nested, out.Err); got != "[<nil>] <nil>" {
					t.Errorf("the calls ended with %s", got)
				}
				var previous []string
				for _, a := range c.seen() {
					previous = append(previous, a.previous)
				}
				if got := strings.Join(previous, ","); got != ",1,2,3," {
					t.Errorf("previous attempts by attempt: %q", got)
				}
			})
		})
	}
}

// TestReportMetadataOfAttempts: an attempt has the metadata of interceptors once, whichever attempt it is
// (useinsider/go-pkg#60).
func TestReportMetadataOfAttempts(t *testing.T) {
	for name, r := range repeats {
		t.Run(name, func(t *testing.T) {
			bubbles(t, kindsOf(name), func(t *testing.T, kind hauberk.Kind) {
				c := newClient(t)
				c.steps = r.steps
				chain := hauberk.Must(hauberk.New(c.list(t, without(r.other))...))
				var sizes []string
				env := hauberktest.Start(t, hauberktest.Setup{Kind: kind, Client: chain, Backend: handling(
					func(ctx context.Context, s hauberktest.Stream) error {
						md, _ := metadata.FromIncomingContext(ctx)
						c.mu.Lock()
						for _, key := range []string{
							"x-request-id", "authorization", "idempotency-key", "traceparent", "grpc-previous-rpc-attempts",
						} {
							sizes = append(sizes, fmt.Sprint(len(md[key])))
						}
						c.mu.Unlock()
						return c.handle(ctx, s)
					},
				)})
				if err := env.Call(t.Context(), "a").Err; err != nil {
					t.Fatal(err)
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				want := "11110" + "11111" + "11111"
				if kind != hauberk.Unary { // idempotency is for unary calls
					want = strings.ReplaceAll("11x10 11x11 11x11", "x", "0")
				}
				if got := strings.Join(sizes, ""); got != strings.ReplaceAll(want, " ", "") {
					t.Errorf("values of each key, by attempt: %s, want %s", got, want)
				}
			})
		})
	}
}

// TestReportPanicAfterDeadline: a handler that panics after its call has ended at a deadline of the server does not end
// the process (golang/go#22084, labstack/echo#1795).
func TestReportPanicAfterDeadline(t *testing.T) {
	bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
		var panics atomic.Int64
		recovers := recovery.New(recovery.Config{})
		env := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}.StartWith(t, handling(
			func(context.Context, hauberktest.Stream) error {
				<-time.After(2 * time.Second)
				panics.Add(1)
				panic("too late")
			}), recovers, deadline.New(deadline.Config{Max: time.Second}))
		began := time.Now()
		out := env.Call(t.Context(), "a")
		if status.Code(out.Err) != codes.DeadlineExceeded || time.Since(began) != time.Second {
			t.Errorf("the call ended with %v after %v", out.Err, time.Since(began))
		}
		<-time.After(2 * time.Second)
		if n := panics.Load(); n != 1 {
			t.Errorf("%d panics", n)
		}
	})
}

// TestReportProbeBelowMinCalls: a half-open circuit is decided by its probes, although they are fewer than the calls that
// a ratio needs (opossum#119, opossum#276, resilience4j#903).
func TestReportProbeBelowMinCalls(t *testing.T) {
	bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
		code := codes.Unavailable
		b := breaker.New(breaker.Config{FailureRatio: 0.5, MinCalls: 10, WindowTime: time.Second, OpenFor: time.Minute})
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, handling(
			func(ctx context.Context, s hauberktest.Stream) error {
				if code != codes.OK {
					return status.Error(code, "down")
				}
				return hauberktest.Echo(ctx, s)
			}), b)
		want := func(want breaker.State) {
			t.Helper()
			if got := b.States()[service]; got != want {
				t.Errorf("the circuit is %v, want %v", got, want)
			}
		}
		for range 10 {
			_ = env.Call(t.Context(), "a")
		}
		want(breaker.Open)
		for range 3 { // openings
			<-time.After(time.Minute)
			_ = env.Call(t.Context(), "a")
			want(breaker.Open)
		}
		<-time.After(time.Minute)
		code = codes.OK
		if err := env.Call(t.Context(), "a").Err; err != nil {
			t.Error(err)
		}
		want(breaker.Closed)
	})
}

// TestReportCancelledBetweenFailures: calls that the caller cancels neither open a circuit nor hide the failures around
// them (cerberus#738, brpc#3532, resilience4j#682).
func TestReportCancelledBetweenFailures(t *testing.T) {
	bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
		never := false
		b := breaker.New(breaker.Config{FailureThreshold: 5})
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, handling(
			func(ctx context.Context, _ hauberktest.Stream) error {
				if never {
					<-ctx.Done()
				}
				return status.Error(codes.Unavailable, "down")
			}), b)
		for i := range 5 {
			if got := b.States()[service]; got != breaker.Closed {
				t.Errorf("the circuit is %v after %d failures", got, i)
			}
			never = true
			for range 10 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				if err := env.Call(ctx, "a").Err; status.Code(err) != codes.Canceled {
					t.Errorf("a cancelled call ended with %v", err)
				}
				synctest.Wait()
			}
			never = false
			_ = env.Call(t.Context(), "a")
		}
		if got := b.States()[service]; got != breaker.Open {
			t.Errorf("the circuit is %v after 5 failures", got)
		}
	})
}
