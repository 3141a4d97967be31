package hauberk_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// decisions gives a test the decisions of each call, as its outermost interceptor reads
// them when the call has ended.
type decisions chan []hauberk.Decision

func (d decisions) interceptor() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		d <- call.Decisions().All()
		return err
	})
}

func decide(d hauberk.Decision) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Decide(d)
		return next(ctx, call)
	})
}

func TestDecisions(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(decisions, 2)
		allowed := hauberk.Decision{Interceptor: "authz", Rule: "rule 1", Verdict: hauberk.Allowed}
		rejected := hauberk.Decision{Interceptor: "limit", Rule: "100/1m", Verdict: hauberk.Rejected, Reason: "LIMITED"}
		reject := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			call.Decide(rejected)
			before := call.Decisions().All()
			before[0].Interceptor = "changed" // the result is the caller's
			return hauberk.Reject(codes.ResourceExhausted, "LIMITED", "try later")
		})
		env := c.Start(t, seen.interceptor(), decide(allowed), hauberk.Func(idle), reject)
		for range 2 { // each call starts without decisions
			out := env.Call(t.Context())
			wantCode(t, out.Err, codes.ResourceExhausted)
			if got, want := <-seen, []hauberk.Decision{allowed, rejected}; !slices.Equal(got, want) {
				t.Errorf("decisions:\n got %+v\nwant %+v", got, want)
			}
		}
	})
}

func TestNoDecisions(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(decisions, 1)
		env := c.Start(t, seen.interceptor())
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		if got := <-seen; len(got) != 0 {
			t.Errorf("decisions of a call that no one decided on: %+v", got)
		}
	})
}

// TestDecideConcurrently decides from many goroutines of one call, and reads
// concurrently.
func TestDecideConcurrently(t *testing.T) {
	const goroutines, each = 8, 16 // as many as a call keeps
	seen := make(decisions, 1)
	chain := hauberk.Must(hauberk.New(seen.interceptor(), hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			var wg sync.WaitGroup
			for g := range goroutines {
				wg.Go(func() {
					for i := range each {
						call.Decide(hauberk.Decision{Interceptor: fmt.Sprint(g), Rule: fmt.Sprint(i)})
						_ = call.Decisions().All()
					}
				})
			}
			wg.Wait()
			return next(ctx, call)
		})))
	if err := unaryHandler(chain)(); err != nil {
		t.Fatal(err)
	}
	got := <-seen
	if len(got) != goroutines*each {
		t.Fatalf("%d decisions, want %d", len(got), goroutines*each)
	}
	nextOf := make(map[string]int)
	for _, d := range got {
		if d.Rule != fmt.Sprint(nextOf[d.Interceptor]) {
			t.Fatalf("goroutine %s: decision %s is where %d should be", d.Interceptor, d.Rule, nextOf[d.Interceptor])
		}
		nextOf[d.Interceptor]++
	}
}

// TestDecisionsOfAttempts shares the decisions of all attempts of a call.
func TestDecisionsOfAttempts(t *testing.T) {
	seen := make(decisions, 1)
	twice := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		attempt := call.Attempt()
		_ = next(ctx, attempt)
		attempt.Adopt(call)
		return next(ctx, call)
	})
	d := hauberk.Decision{Interceptor: "breaker"}
	chain := hauberk.Must(hauberk.New(seen.interceptor(), twice, decide(d)))
	if err := clientCall(chain, hauberk.Unary)(); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; !slices.Equal(got, []hauberk.Decision{d, d}) {
		t.Errorf("decisions %+v", got)
	}
}

func TestVerdictString(t *testing.T) {
	if got := fmt.Sprint(hauberk.Allowed, hauberk.Rejected); got != "allowed rejected" {
		t.Errorf("verdicts are called %q", got)
	}
}
