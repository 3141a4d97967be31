package fault_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestAbort: an aborted call reaches no handler, has the status of the rule, and is recorded.
func TestAbort(t *testing.T) {
	for name, c := range map[string]struct {
		abort           fault.Abort
		message, reason string
	}{
		"defaults": {fault.Abort{Code: codes.Unavailable}, "Fault injected", fault.ReasonAborted},
		"all set":  {fault.Abort{Code: codes.DeadlineExceeded, Message: "too slow", Reason: "SLOW"}, "too slow", "SLOW"},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
				var decisions []hauberk.Decision
				var seen error
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					seen = next(ctx, call)
					decisions = call.Decisions().All()
					return seen
				})
				b := newCounting()
				out := m.StartWith(t, &b.Backend, outer, fault.New(one(fault.Rule{Abort: &c.abort}))).Call(t.Context())
				wantCode(t, out.Err, c.abort.Code)
				if got := status.Convert(out.Err).Message(); got != c.message || hauberk.Reason(out.Err) != c.reason {
					t.Errorf("the status is %q, %q; want %q, %q", got, hauberk.Reason(out.Err), c.message, c.reason)
				}
				if b.calls != 0 {
					t.Error("the handler has run")
				}
				if hauberk.RejectionOf(seen) != nil {
					t.Error("the outer interceptor sees a Rejection, which no retry repeats")
				}
				want := hauberk.Decision{Interceptor: "fault", Rule: "rule 0: abort", Verdict: hauberk.Rejected, Reason: c.reason}
				if len(decisions) != 1 || decisions[0] != want {
					t.Errorf("decisions are %+v; want %+v", decisions, want)
				}
			})
		})
	}
}

// TestRetriesAndBreakersTakeItForTheServer: an abort, a lost message, and a delay that meets the deadline are failures
// of the server for what is outside of fault on a client.
func TestRetriesAndBreakersTakeItForTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		rule fault.Rule
		code codes.Code
	}{
		"UNAVAILABLE":       {fault.Rule{Abort: unavailable()}, codes.Unavailable},
		"DEADLINE_EXCEEDED": {fault.Rule{Abort: &fault.Abort{Code: codes.DeadlineExceeded}}, codes.DeadlineExceeded},
		"a lost request":    {fault.Rule{Messages: &fault.Messages{Direction: fault.Requests, Drop: 100}}, codes.Unavailable},
		"a delay":           {fault.Rule{Delay: time.Hour}, codes.DeadlineExceeded},
	} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			if name == "a lost request" && kind.ClientStreams() {
				continue // its call goes on
			}
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				synctest.Test(t, func(t *testing.T) {
					attempts := 0
					count := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						attempts++
						return next(ctx, call)
					})
					r := retry.New(retry.Config{
						AllMethods: true, MaxAttempts: 3, MaxReplayBytes: 1 << 10,
						RetryableStatusCodes: []codes.Code{codes.Unavailable, codes.DeadlineExceeded},
						PerAttemptTimeout:    time.Second,
					})
					b := breaker.New(breaker.Config{FailureThreshold: 3})
					m := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
					out := m.Start(t, r, count, b, fault.New(one(c.rule))).Call(t.Context())
					wantCode(t, out.Err, c.code)
					if attempts != 3 {
						t.Errorf("%d attempts; want 3", attempts)
					}
					for circuit, state := range b.States() {
						if state != breaker.Open {
							t.Errorf("the circuit of %s is %v; want open", circuit, state)
						}
					}
				})
			})
		}
	}
}

// TestRetriesHideFaults: with faults in some attempts all calls succeed.
func TestRetriesHideFaults(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		synctest.Test(t, func(t *testing.T) {
			x := fault.New(one(fault.Rule{Percentage: 30, Abort: unavailable()}))
			r := retry.New(retry.Config{AllMethods: true, MaxAttempts: 20, MaxReplayBytes: 1 << 10, NoBudget: true})
			env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.Start(t, r, x)
			for range 100 {
				if out := env.Call(t.Context()); out.Err != nil || len(out.Responses) != 1 {
					t.Errorf("%s: %d responses, %v", kind, len(out.Responses), out.Err)
				}
			}
			if n := value(x, "fault_injected_totalabort"); n < 20 || n > 80 {
				t.Errorf("%v aborts of 100 calls at 30 %%", n)
			}
		})
	}
}

// TestDelay: a delay is within its range, ends with the call's context, and holds the handler up.
func TestDelay(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
		synctest.Test(t, func(t *testing.T) {
			b := newCounting()
			env := m.StartWith(t, &b.Backend, fault.New(one(fault.Rule{Delay: time.Second, MaxDelay: 2 * time.Second})))
			var least, most time.Duration = time.Hour, 0
			for range 50 {
				begin := time.Now()
				wantCode(t, env.Call(t.Context()).Err, codes.OK)
				least, most = min(least, time.Since(begin)), max(most, time.Since(begin))
			}
			if least < time.Second || least > 1200*time.Millisecond || most > 2*time.Second || most < 1800*time.Millisecond {
				t.Errorf("delays from %v to %v", least, most)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			before := b.calls
			begin := time.Now()
			wantCode(t, env.Call(ctx).Err, codes.DeadlineExceeded)
			if took := time.Since(begin); took > 510*time.Millisecond {
				t.Errorf("the deadline ended the delay after %v", took)
			}
			pass(time.Minute)
			if b.calls != before {
				t.Error("the handler has run after the deadline")
			}
		})
	})
}

// TestMatching: only the calls that a rule matches get its faults.
func TestMatching(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
		other := hauberk.Unary
		if m.Kind == other {
			other = hauberk.Bidi
		}
		for name, c := range map[string]struct {
			rule fault.Rule
			md   []string
			want codes.Code
		}{
			"this method":        {fault.Rule{Methods: []string{hauberktest.FullMethod(m.Kind)}}, nil, codes.Unavailable},
			"another method":     {fault.Rule{Methods: []string{hauberktest.FullMethod(other)}}, nil, codes.OK},
			"its value":          {fault.Rule{Metadata: map[string]string{"X-Fault": "a"}}, []string{"x-fault", "b", "x-fault", "a"}, codes.Unavailable},
			"another value":      {fault.Rule{Metadata: map[string]string{"x-fault": "a"}}, []string{"x-fault", "b"}, codes.OK},
			"no value":           {fault.Rule{Metadata: map[string]string{"x-fault": "*"}}, nil, codes.OK},
			"any value":          {fault.Rule{Metadata: map[string]string{"x-fault": "*"}}, []string{"x-fault", "z"}, codes.Unavailable},
			"one key of several": {fault.Rule{Metadata: map[string]string{"x-fault": "*", "y": "*"}}, []string{"y", "z"}, codes.OK},
		} {
			c.rule.Abort = unavailable()
			env := m.Start(t, fault.New(one(c.rule)))
			err := env.Call(metadata.NewOutgoingContext(t.Context(), metadata.Pairs(c.md...))).Err
			if hauberk.CodeOf(err) != c.want {
				t.Errorf("%s: %v; want %s", name, err, c.want)
			}
		}
	})
}

// outcomes makes calls in order and returns the code of each, the texts of its responses and how long it took.
func outcomes(t *testing.T, m hauberktest.Case, x *fault.Interceptor, n int) []string {
	t.Helper()
	var all []string
	env := m.Start(t, x)
	for range n {
		begin := time.Now()
		out := env.Call(t.Context(), "a", "b", "c", "d")
		all = append(all, fmt.Sprint(hauberk.CodeOf(out.Err), out.Texts(), time.Since(begin)))
	}
	return all
}

// TestRepeatable: the same seed gives the same faults, and another seed others.
func TestRepeatable(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
		synctest.Test(t, func(t *testing.T) {
			config := one(fault.Rule{
				Percentage: 50, MaxDelay: time.Second,
				Messages: &fault.Messages{Drop: 20, Duplicate: 20, Delay: 20, DelayFor: time.Second},
			})
			config.Rules = append(config.Rules, fault.Rule{Percentage: 10, Abort: unavailable()})
			first, second := outcomes(t, m, fault.New(config), 60), outcomes(t, m, fault.New(config), 60)
			if !slices.Equal(first, second) {
				t.Errorf("two runs differ:\n%q\n%q", first, second)
			}
			config.Seed++
			if other := outcomes(t, m, fault.New(config), 60); slices.Equal(first, other) {
				t.Error("another seed gives the same faults")
			}
			config.Seed = 0
			chosen := fault.New(config)
			config.Seed = chosen.Seed()
			if first, second := outcomes(t, m, chosen, 60), outcomes(t, m, fault.New(config), 60); !slices.Equal(first, second) {
				t.Errorf("a run with the chosen seed %d differs", chosen.Seed())
			}
		})
	})
}

// TestPercentage: over many calls the share of faults is that of the rule, and with concurrent calls their
// number is that of as many calls in order.
func TestPercentage(t *testing.T) {
	const calls = 4000
	for _, percentage := range []float64{0.5, 10, 50, 100} {
		count := func(concurrent bool) int {
			x := fault.New(one(fault.Rule{Percentage: percentage, Abort: unavailable()}))
			call := hauberktest.Direct{}.Server(chainOf(t, x))
			done := make(chan bool, calls)
			run := func(n int) {
				for range n {
					done <- call(t.Context()) != nil
				}
			}
			if concurrent {
				for range 8 {
					go run(calls / 8)
				}
			} else {
				run(calls)
			}
			failed := 0
			for range calls {
				if <-done {
					failed++
				}
			}
			return failed
		}
		inOrder, concurrently := count(false), count(true)
		want := percentage * calls / 100
		if inOrder != concurrently || float64(inOrder) < 0.5*want || float64(inOrder) > 1.5*want {
			t.Errorf("%d faults in order, %d concurrently; want about %v", inOrder, concurrently, want)
		}
	}
}

// TestMaxActive: no more calls have faults at a time, and all give their place back.
func TestMaxActive(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
		synctest.Test(t, func(t *testing.T) {
			config := one(fault.Rule{Delay: time.Minute})
			config.MaxActive = 2
			x := fault.New(config)
			env := m.Start(t, x)
			for range 2 {
				took := make(chan time.Duration, 5)
				for range 5 {
					go func() {
						begin := time.Now()
						_ = env.Call(t.Context())
						took <- time.Since(begin)
					}()
				}
				late := 0
				for range 5 {
					if <-took >= time.Minute {
						late++
					}
				}
				if late != 2 {
					t.Errorf("%d calls were delayed; want 2", late)
				}
			}
			synctest.Wait()
			if value(x, "fault_active") != 0 || value(x, "fault_skipped_total") != 6 || value(x, "fault_injected_totaldelay") != 4 {
				t.Errorf("measurements are %+v", x.Measurements())
			}
		})
	})
}

// TestSwitch: faults can be turned off while the chain runs.
func TestSwitch(t *testing.T) {
	on := false
	x := fault.New(one(fault.Rule{Abort: unavailable()}), fault.WithSwitch(func() bool { return on }))
	call := hauberktest.Direct{}.Server(chainOf(t, x))
	for range 2 {
		if err := call(t.Context()); (err != nil) != on {
			t.Errorf("on %t: %v", on, err)
		}
		on = !on
	}
}

// TestSaysSo: a chain with faults warns of them, and Lint knows their place.
func TestSaysSo(t *testing.T) {
	x := fault.New(one(fault.Rule{Methods: []string{"a.B/*"}, Percentage: 12.5, Abort: unavailable()}))
	chain := chainOf(t, x, breaker.New(breaker.Config{}))
	findings := chain.Lint(hauberk.ClientSide)
	if len(findings) != 2 || !strings.Contains(findings[0].Message, "seed 7") || !strings.Contains(findings[0].Message, "12.5% of the calls of a.B/*") ||
		!strings.Contains(findings[1].Message, "fault (fault) runs outside breaker") {
		t.Errorf("Lint returned %q", findings)
	}
	if findings := chainOf(t, breaker.New(breaker.Config{}), x).Lint(hauberk.ClientSide); len(findings) != 1 {
		t.Errorf("Lint returned %q for the usual order", findings)
	}
}

// TestMaxActiveAfterDelay: a call that can get no further fault takes no place, one that can does.
func TestMaxActiveAfterDelay(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
		for _, further := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				rule := fault.Rule{Delay: time.Minute}
				if further {
					rule.Abort = &fault.Abort{Code: codes.Unavailable, AfterMessages: 1000}
				}
				config := one(rule)
				config.MaxActive = 1
				x := fault.New(config)
				release := make(chan struct{})
				env := m.StartWith(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					<-release
					return hauberktest.Echo(ctx, s)
				}}, x)
				ends := make(chan struct{})
				for i := range 2 {
					go func() {
						_ = env.Call(t.Context())
						ends <- struct{}{}
					}()
					pass(2 * time.Minute)
					if active := value(x, "fault_active"); (active > 0) != further {
						t.Errorf("further faults %t: %v calls are active after the delay of call %d", further, active, i)
					}
				}
				want := map[bool]float64{false: 2, true: 1}[further]
				if got := value(x, "fault_injected_totaldelay"); got != want {
					t.Errorf("further faults %t: %v calls were delayed; want %v", further, got, want)
				}
				close(release)
				<-ends
				<-ends
				if active := value(x, "fault_active"); active != 0 {
					t.Errorf("%v calls are active after their end", active)
				}
			})
		}
	})
}
