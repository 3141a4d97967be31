package tracing_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// parents is a backend that fails some calls and stores the traceparent of each.
type parents struct {
	mu   sync.Mutex
	fail int
	got  []string
}

func (p *parents) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		p.mu.Lock()
		p.got = append(p.got, metadata.ValueFromIncomingContext(ctx, "traceparent")...)
		p.fail--
		failing := p.fail >= 0
		p.mu.Unlock()
		if failing {
			return status.Error(codes.Unavailable, "down")
		}
		return hauberktest.Echo(ctx, s)
	}}
}

func retrying() hauberk.Interceptor {
	return retry.New(retry.Config{AllMethods: true, MaxAttempts: 3, MaxReplayBytes: 1 << 10},
		retry.WithSleep(func(context.Context, time.Duration) error { return nil }))
}

// attemptsOf returns the numbers of the attempts of spans.
func attemptsOf(spans []sdktrace.ReadOnlySpan) []any {
	numbers := make([]any, len(spans))
	for i, s := range spans {
		numbers[i] = attributes(s.Attributes())[string(tracing.KeyAttempt)]
	}
	return numbers
}

// traceparent returns the header of a span.
func traceparent(s sdktrace.ReadOnlySpan) string {
	return "00-" + s.SpanContext().TraceID().String() + "-" + s.SpanContext().SpanID().String() + "-01"
}

// Each attempt has a span that is a child of the call's span and the parent of the server's.
func TestAttempts(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		for _, same := range []bool{false, true} {
			t.Run(kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				s, p := record(), &parents{fail: 2}
				outer := tracing.New(tracing.Config{}, s.option())
				inner := outer.Attempts()
				if same {
					inner = outer
				}
				c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
				env := c.StartWith(t, p.backend(), outer, retrying(), inner)
				wantCode(t, env.Call(t.Context()).Err, codes.OK)
				ended := s.Ended()
				if len(ended) != 4 {
					t.Fatalf("%d spans, want those of a call and 3 attempts", len(ended))
				}
				call := ended[3]
				if got := attemptsOf(ended); !slices.Equal(got, []any{int64(1), int64(2), int64(3), nil}) {
					t.Errorf("numbers %v", got)
				}
				for i, attempt := range ended[:3] {
					if parentOf(attempt) != call.SpanContext().SpanID().String() || attempt.SpanKind() != trace.SpanKindClient {
						t.Errorf("attempt %d is a %v span with the parent %s", i+1, attempt.SpanKind(), parentOf(attempt))
					}
					if p.got[i] != traceparent(attempt) {
						t.Errorf("the server of attempt %d received %s", i+1, p.got[i])
					}
					want := map[string]any{"rpc.response.status_code": "UNAVAILABLE", "error.type": "UNAVAILABLE"}
					if i == 2 {
						want = map[string]any{"rpc.response.status_code": "OK", "error.type": nil}
					}
					have(t, attempt.Attributes(), want)
				}
				have(t, call.Attributes(), map[string]any{"rpc.response.status_code": "OK", "error.type": nil})
			})
		}
	}
}

// With tracing inside the retries only, the spans of attempts are siblings. They have numbers from the
// second on.
func TestAttemptsWithoutACallsSpan(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		for _, explicit := range []bool{false, true} {
			s, p := record(), &parents{fail: 2}
			want := []any{nil, int64(2), int64(3)}
			var inner hauberk.Interceptor = tracing.New(tracing.Config{}, s.option())
			if explicit {
				inner, want[0] = tracing.New(tracing.Config{}, s.option()).Attempts(), int64(1)
			}
			var last trace.SpanContext
			looking := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				last = tracing.SpanContext(ctx, call)
				return err
			})
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			env := c.StartWith(t, p.backend(), looking, retrying(), inner)
			ctx, caller := s.provider.Tracer("caller").Start(t.Context(), "caller")
			wantCode(t, env.Call(ctx).Err, codes.OK)
			ended := s.Ended()
			if got := attemptsOf(ended); !slices.Equal(got, want) {
				t.Errorf("%s: numbers %v, want %v", kind, got, want)
			}
			for _, span := range ended {
				if parentOf(span) != caller.SpanContext().SpanID().String() {
					t.Errorf("%s: the parent is %s", kind, parentOf(span))
				}
			}
			if !last.Equal(ended[2].SpanContext()) {
				t.Errorf("%s: an outer interceptor receives %v", kind, last)
			}
		}
	}
}

// Concurrent attempts have separate spans.
func TestHedgedAttempts(t *testing.T) {
	hauberktest.CheckLeaks(t)
	s, p := record(), &parents{}
	outer := tracing.New(tracing.Config{}, s.option())
	hedging := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		copies := [2]*hauberk.Call{call.Attempt(), call.Attempt()}
		var errs [2]error
		var both sync.WaitGroup
		for i := range copies {
			both.Go(func() { errs[i] = next(ctx, copies[i]) })
		}
		both.Wait()
		call.Adopt(copies[0])
		return errors.Join(errs[:]...)
	})
	c := hauberktest.Case{Side: hauberk.ClientSide}
	env := c.StartWith(t, p.backend(), outer, hedging, outer.Attempts())
	wantCode(t, env.Call(t.Context()).Err, codes.OK)
	ended := s.Ended()
	if len(ended) != 3 {
		t.Fatalf("%d spans", len(ended))
	}
	want := []string{traceparent(ended[0]), traceparent(ended[1])}
	slices.Sort(want)
	slices.Sort(p.got)
	if !slices.Equal(p.got, want) {
		t.Errorf("the server received %q, want %q", p.got, want)
	}
	numbers := attemptsOf(ended)
	if !slices.Contains(numbers, any(int64(1))) || !slices.Contains(numbers, any(int64(2))) {
		t.Errorf("numbers %v", numbers)
	}
}

// Attempts that start concurrently as the first of a call have different numbers.
func TestFirstAttemptsConcurrently(t *testing.T) {
	s := record()
	concurrently := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		copies := [2]*hauberk.Call{call.Attempt(), call.Attempt()}
		start := make(chan struct{})
		var both sync.WaitGroup
		for _, attempt := range copies {
			both.Go(func() { <-start; _ = next(ctx, attempt) })
		}
		close(start)
		both.Wait()
		call.Adopt(copies[0])
		return nil
	})
	invoke := hauberk.Must(hauberk.New(concurrently, tracing.New(tracing.Config{}, s.option()).Attempts())).UnaryClientInterceptor()
	for round := range 1000 { // without a common record some rounds fail
		s.Reset()
		if err := invoke(t.Context(), "/s/m", new(testpb.Request), new(testpb.Response), nil, answer); err != nil {
			t.Fatal(err)
		}
		numbers := attemptsOf(s.Ended())
		if !slices.Contains(numbers, any(int64(1))) || !slices.Contains(numbers, any(int64(2))) {
			t.Fatalf("round %d: numbers %v", round, numbers)
		}
	}
}

// The span of an attempt that a breaker rejects contains that decision and none of earlier attempts.
func TestRejectedAttempt(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		s, p := record(), &parents{fail: 9}
		outer := tracing.New(tracing.Config{}, s.option())
		circuit := breaker.New(breaker.Config{FailureThreshold: 2})
		admitting := hauberk.Named("quota", declaring{hauberk.Declaration{Name: "quota", Decides: true}})
		c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		env := c.StartWith(t, p.backend(), admitting, outer, retrying(), outer.Attempts(), circuit)
		wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
		ended := s.Ended()
		if len(ended) != 4 || len(p.got) != 2 {
			t.Fatalf("%s: %d spans, %d calls at the server", kind, len(ended), len(p.got))
		}
		have(t, ended[2].Attributes(), map[string]any{
			string(tracing.KeyReason): "BREAKER_OPEN", string(tracing.KeyAttempt): int64(3),
		})
		want := [][]string{{"breaker allowed"}, {"breaker allowed"}, {"breaker rejected"}, {"breaker rejected"}}
		for i, span := range ended {
			if got := decisionsOf(span); !slices.Equal(got, want[i]) {
				t.Errorf("%s: span %d has the decisions %q, want %q", kind, i, got, want[i])
			}
		}
	}
}

// The decision on an attempt is in the span of that attempt.
func TestDecisionsOfAttempts(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		s, p := record(), &parents{fail: 2}
		outer := tracing.New(tracing.Config{}, s.option())
		rejecting := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.ResourceExhausted, "TOO_MANY", "no")
		})
		c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		env := c.StartWith(t, p.backend(), outer, retrying(), outer.Attempts(), hauberk.Shadow(decidingFunc{rejecting}))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		one := []string{"trial rejected"}
		for i, want := range [][]string{one, one, one, {"trial rejected", "trial rejected", "trial rejected"}} {
			if got := decisionsOf(s.Ended()[i]); !slices.Equal(got, want) {
				t.Errorf("%s: span %d has the decisions %q, want %q", kind, i, got, want)
			}
		}
	}
}

// On a server there are no attempts.
func TestAttemptsOnAServer(t *testing.T) {
	hauberktest.CheckLeaks(t)
	s := record()
	env := hauberktest.Case{}.Start(t, tracing.New(tracing.Config{}, s.option()).Attempts())
	wantCode(t, env.Call(t.Context()).Err, codes.OK)
	env.Server.GracefulStop()
	if n := len(s.Started()); n != 0 {
		t.Errorf("%d spans", n)
	}
}
