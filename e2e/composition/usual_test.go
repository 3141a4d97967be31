package composition_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// repeats are the two ways to make attempts: the steps with which a call makes three, and how the first two end.
var repeats = map[string]struct {
	other string // the interceptor that the chain does not have
	steps []step
	ended string
	took  time.Duration
}{
	"retry": {"hedge", []step{down, down}, "Unavailable", 2 * backoff},
	"hedge": {"retry", []step{never, never}, "Canceled", 2 * backoff},
}

// kindsOf returns the kinds of methods that are repeated.
func kindsOf(repeat string) []hauberk.Kind {
	if repeat == "hedge" {
		return []hauberk.Kind{hauberk.Unary, hauberk.ServerStream}
	}
	return kinds
}

// TestUsualOrder: in the usual order a call with three attempts is one call, with one request id, one idempotency key
// and one deadline. Each of its attempts has a fresh token, a span, and its place in the numbers of the server, the
// metrics of attempts, the breaker and the limits.
func TestUsualOrder(t *testing.T) {
	for name, r := range repeats {
		t.Run(name, func(t *testing.T) {
			bubbles(t, kindsOf(name), func(t *testing.T, kind hauberk.Kind) {
				c := start(t, kind, without(r.other), r.steps...)
				if findings := c.chain.Lint(hauberk.ClientSide); len(findings) > 0 {
					t.Errorf("findings: %+v", findings)
				}
				began := time.Now()
				out := c.Call(t.Context())
				if out.Err != nil || time.Since(began) != r.took {
					t.Errorf("the call took %v and ended with %v", time.Since(began), out.Err)
				}
				synctest.Wait()
				c.wantArrivals(t, kind)
				if got := codesOf(c.calls, kind); !maps.Equal(got, map[string]uint64{"OK": 1}) {
					t.Errorf("calls by code: %v", got)
				}
				if got := codesOf(c.attempts, kind); !maps.Equal(got, map[string]uint64{r.ended: 2, "OK": 1}) {
					t.Errorf("attempts by code: %v", got)
				}
				c.wantSpans(t)
				if got := c.limit.Limits()[0].Running; got != 0 {
					t.Errorf("%d slots are taken after the call", got)
				}
				if got := c.permits(t); got != 3 {
					t.Errorf("%d permits were taken, want 3", got)
				}
			})
		})
	}
}

// wantArrivals checks what the server has seen of three attempts.
func (c *client) wantArrivals(t *testing.T, kind hauberk.Kind) {
	t.Helper()
	seen := c.seen()
	if len(seen) != 3 {
		t.Fatalf("%d attempts, want 3", len(seen))
	}
	tokens := c.of(func(a arrival) string { return a.token })
	if !slices.Equal(tokens, []string{"Bearer token-1", "Bearer token-2", "Bearer token-3"}) {
		t.Errorf("tokens are %q", tokens)
	}
	if ids := c.of(func(a arrival) string { return a.id }); len(ids) != 1 || ids[0] == "" {
		t.Errorf("request ids are %q, want one", ids)
	}
	if keys := c.of(func(a arrival) string { return a.key }); len(keys) != 1 || (keys[0] != "") != (kind == hauberk.Unary) {
		t.Errorf("idempotency keys are %q, want one for unary calls", keys)
	}
	for i, a := range seen {
		if want := []string{"", "1", "2"}[i]; a.previous != want {
			t.Errorf("attempt %d has %q attempts before, want %q", i+1, a.previous, want)
		}
	}
}

// wantSpans checks that three attempts have spans that are children of that of the call.
func (c *client) wantSpans(t *testing.T) {
	t.Helper()
	var call trace.SpanID
	numbers := make(map[string]trace.SpanID)
	for _, s := range c.spans.Ended() {
		if n := attributeOf(s, tracing.KeyAttempt); n != "" {
			numbers[n] = s.Parent().SpanID()
		} else {
			call = s.SpanContext().SpanID()
		}
	}
	want := map[string]trace.SpanID{"1": call, "2": call, "3": call}
	if !call.IsValid() || !maps.Equal(numbers, want) {
		t.Errorf("the parents of attempts are %v, want %v", numbers, want)
	}
}

// attributeOf returns an attribute of a span, or "".
func attributeOf(s sdktrace.ReadOnlySpan, key attribute.Key) string {
	for _, a := range s.Attributes() {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// TestBreakerInside: a circuit that opens between attempts of a call ends it. What is rejected here is not repeated.
// Attempts of hedge that have lost are no failures.
func TestBreakerInside(t *testing.T) {
	bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
		steps := slices.Repeat([]step{down}, 20)
		c := start(t, kind, without("hedge"), steps...)
		for _, want := range []int{4, 6, 6} { // attempts; the circuit opens with the sixth
			if out := c.Call(t.Context()); status.Code(out.Err) != codes.Unavailable {
				t.Errorf("the call ended with %v", out.Err)
			}
			if got := len(c.seen()); got != want {
				t.Errorf("%d attempts, want %d", got, want)
			}
		}
	})
	bubbles(t, kindsOf("hedge"), func(t *testing.T, kind hauberk.Kind) {
		c := start(t, kind, without("retry", "cache"), slices.Repeat([]step{never, never, never, {}}, 5)...)
		for range 5 {
			if out := c.Call(t.Context()); out.Err != nil {
				t.Errorf("the call ended with %v", out.Err)
			}
			synctest.Wait()
		}
		if got := c.breaker.Failures()[service]; got != 0 || len(c.seen()) != 20 {
			t.Errorf("%d failures after %d attempts, want none of 20", got, len(c.seen()))
		}
	})
}

// TestDeadlineOutside: the deadline of a call bounds its attempts and the waits between them.
func TestDeadlineOutside(t *testing.T) {
	for name, r := range repeats {
		bubbles(t, kindsOf(name), func(t *testing.T, kind hauberk.Kind) {
			c := start(t, kind, without(r.other), slices.Repeat([]step{never}, 4)...)
			began := time.Now()
			out := c.Call(t.Context())
			if took := time.Since(began); took != time.Second || status.Code(out.Err) != codes.DeadlineExceeded {
				t.Errorf("%s: the call took %v and ended with %v", name, took, out.Err)
			}
		})
	}
}

// TestCacheOutside: an answer from memory costs no token, no permit and no attempt, and an open circuit does not
// matter. A failure is not remembered.
func TestCacheOutside(t *testing.T) {
	for name, r := range repeats {
		bubbles(t, []hauberk.Kind{hauberk.Unary}, func(t *testing.T, kind hauberk.Kind) {
			c := start(t, kind, without(r.other), append([]step{{code: codes.NotFound}}, r.steps...)...)
			if out := c.Call(t.Context()); status.Code(out.Err) != codes.NotFound {
				t.Fatalf("the first call ended with %v", out.Err)
			}
			for i := range 3 {
				if out := c.Call(t.Context()); out.Err != nil {
					t.Fatal(out.Err)
				}
				if i == 0 {
					c.breaker.ForceOpen(service)
				}
			}
			if got := len(c.seen()); got != 4 || c.tokens != 4 {
				t.Errorf("%s: %d attempts with %d tokens, want 4: one that failed, and three of the second call", name, got, c.tokens)
			}
			if got := codesOf(c.calls, kind)["OK"]; got != 3 {
				t.Errorf("%s: %d calls have succeeded, want 3", name, got)
			}
		})
	}
}

// TestCoalesceOutside: callers that ask the same at a time share the attempts, also if one of them leaves.
func TestCoalesceOutside(t *testing.T) {
	for name, r := range repeats {
		bubbles(t, []hauberk.Kind{hauberk.Unary}, func(t *testing.T, kind hauberk.Kind) {
			c := start(t, kind, without(r.other), r.steps...)
			ctx, leave := context.WithCancel(t.Context())
			ended := make(chan error, 5)
			go func() { ended <- c.Call(ctx).Err }()
			synctest.Wait()
			for range 4 {
				go func() { ended <- c.Call(t.Context()).Err }()
			}
			synctest.Wait()
			leave()
			if err := <-ended; status.Code(err) != codes.Canceled {
				t.Errorf("%s: the caller that has left got %v", name, err)
			}
			for range 4 {
				if err := <-ended; err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if got := len(c.seen()); got != 3 {
				t.Errorf("%s: %d attempts for five callers, want 3", name, got)
			}
		})
	}
}

// TestLimitsInside: an attempt that an inner limit rejects is not repeated, and does not end attempts that run.
func TestLimitsInside(t *testing.T) {
	bubbles(t, kindsOf("hedge"), func(t *testing.T, kind hauberk.Kind) {
		c := start(t, kind, without("retry", "cache", "coalesce"), slices.Repeat([]step{never}, 40)...)
		ended := make(chan error, 4)
		for range 4 { // 16 attempts, of which ten have a slot
			go func() { ended <- c.Call(t.Context()).Err }()
		}
		for range 4 {
			if err := <-ended; status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("a call ended with %v", err)
			}
		}
		synctest.Wait()
		if got := c.limit.Limits()[0].Running; got != 0 || c.most != 10 {
			t.Errorf("%d attempts at a time, and %d slots are taken after the calls; want 10 and 0", c.most, got)
		}
	})
	bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
		c := start(t, kind, without("hedge"), slices.Repeat([]step{down}, 4)...)
		_ = c.permits(t) // takes all that are left
		out := c.Call(t.Context())
		if got := len(c.seen()); got != 0 || status.Code(out.Err) != codes.ResourceExhausted {
			t.Errorf("%d attempts, and %v; want none", got, out.Err)
		}
	})
}
