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

// TestDecisionTraceInsideAdapters: interceptors inside of grpc-go interceptors are traced
// as others are, and a rejection is that of the interceptor that made it, alone.
func TestDecisionTraceInsideAdapters(t *testing.T) {
	limited := hauberk.Decision{Interceptor: "last", Verdict: hauberk.Rejected, Reason: "LIMITED"}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for code, last := range map[codes.Code]hauberk.Func{codes.OK: idle, codes.ResourceExhausted: turnDown} {
			seen, j := make(decisions, 1), new(journal)
			env := c.Start(t, seen.interceptor(), deciding("outer", idle), foreign{j, "f"}.interceptor(c.Side),
				deciding("inner", idle), foreign{j, "g"}.interceptor(c.Side), deciding("last", last))
			wantCode(t, env.Call(t.Context()).Err, code)
			want := []hauberk.Decision{{Interceptor: "outer"}, {Interceptor: "inner"}, {Interceptor: "last"}}
			if code != codes.OK {
				want[2] = limited
			}
			if got := <-seen; !slices.Equal(got, want) {
				t.Errorf("%s:\n got %+v\nwant %+v", code, got, want)
			}
		}
	})
}

// TestDecisionTraceOfCopies has all attempts on copies, of which the one that
// counts is rejected; the other, which the server failed, had come further.
func TestDecisionTraceOfCopies(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		seen := make(decisions, 1)
		hedge := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			first, second := call.Attempt(), call.Attempt()
			_ = next(ctx, first)
			defer call.Adopt(second)
			return next(ctx, second)
		})
		attempts := 0
		limit := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			attempts++
			if attempts == 2 {
				return errLimits
			}
			return next(ctx, call)
		})
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, failing(1).Backend,
			seen.interceptor(), hedge, deciding("limit", limit), deciding("inner", idle))
		wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		want := []hauberk.Decision{{Interceptor: "limit", Verdict: hauberk.Rejected, Reason: "LIMITED"}, {Interceptor: "inner"}}
		if got := <-seen; !slices.Equal(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", kind, got, want)
		}
	}
}

// TestRejectionBesideItsOwnShadow: an interceptor that recorded what it would have rejected,
// and then rejects for another reason, has rejected.
func TestRejectionBesideItsOwnShadow(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(decisions, 1)
		trial := hauberk.Decision{Interceptor: "limit", Rule: "trial", Verdict: hauberk.Rejected, Shadow: true}
		env := c.Start(t, seen.interceptor(), deciding("limit", func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			call.Decide(trial)
			return errLimits
		}))
		wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		want := []hauberk.Decision{trial, {Interceptor: "limit", Verdict: hauberk.Rejected, Reason: "LIMITED"}}
		if got := <-seen; !slices.Equal(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	})
}

// TestDecisionsOfHooksAreNobodyElses: what a hook decides without a name is not
// attributed to the interceptor that happens to run inside.
func TestDecisionsOfHooksAreNobodyElses(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(decisions, 1)
		hooked := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(msg any, emit func(any) error) error {
				call.Decide(hauberk.Decision{Rule: "sent"})
				return emit(msg)
			})
			call.OnReceive(func(any) (bool, error) {
				call.Decide(hauberk.Decision{Rule: "received"})
				return true, nil
			})
			return next(ctx, call)
		})
		reading := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if !call.Kind().ClientStreams() {
				if _, err := call.Read(ctx); err != nil {
					return err
				}
			}
			call.Decide(hauberk.Decision{Rule: "own"})
			return next(ctx, call)
		})
		env := c.Start(t, seen.interceptor(), hooked, hauberk.Named("inner", reading))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		got := <-seen
		slices.SortFunc(got, func(a, b hauberk.Decision) int { return len(a.Rule) - len(b.Rule) })
		want := []hauberk.Decision{{Interceptor: "inner", Rule: "own"}, {Rule: "sent"}, {Rule: "received"}}
		if !slices.Equal(got, want) {
			t.Errorf("decisions %+v", got)
		}
	})
}

// TestDecisionsAreBounded decides on each message of a long stream, while others
// read, and rejects the last one.
func TestDecisionsAreBounded(t *testing.T) {
	const messages = 1000
	seen := make(decisions, 1)
	each := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		n := 0
		call.OnReceive(func(any) (bool, error) {
			n++
			call.Decide(hauberk.Decision{Interceptor: "each", Rule: fmt.Sprint(n), Verdict: hauberk.Rejected, Shadow: n < messages})
			if n < messages {
				return true, nil
			}
			return false, errLimits
		})
		return next(ctx, call)
	})
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		var reader sync.WaitGroup
		reader.Go(func() {
			for range messages {
				call := hauberk.FromContext(ctx)
				_, _, _ = call.Decisions().All(), call.Decisions().Recorded(), call.Wire().Received()
			}
		})
		defer reader.Wait()
		for {
			if _, err := s.Recv(); err != nil {
				return err
			}
		}
	}}
	env := hauberktest.Case{Kind: hauberk.ClientStream}.With(hauberk.Config{CountBytes: true}).StartWith(t, backend, seen.interceptor(), deciding("each", each))
	wantCode(t, env.Call(t.Context(), make([]string, messages)...).Err, codes.ResourceExhausted)
	got := <-seen
	if len(got) != 129 || got[127].Rule != "128" || got[128].Rule != fmt.Sprint(messages) || got[128].Shadow {
		t.Errorf("%d decisions are kept, last %+v; want the first 128 and the rejection", len(got), got[len(got)-1])
	}
}

// TestRejectionsAreBounded decides what no interceptor should: to reject over and over.
func TestRejectionsAreBounded(t *testing.T) {
	seen := make(decisions, 1)
	env := hauberktest.Case{}.Start(t, seen.interceptor(), hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			for range 1000 {
				call.Decide(hauberk.Decision{Verdict: hauberk.Rejected})
			}
			return next(ctx, call)
		}))
	wantCode(t, env.Call(t.Context()).Err, codes.OK)
	if got := len(<-seen); got != 256 {
		t.Errorf("%d decisions are kept, want 256", got)
	}
}

// TestDecisionInAnothersName is listed with the interceptor whose name it has.
func TestDecisionInAnothersName(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(decisions, 1)
		first, second := hauberk.Decision{Interceptor: "first", Rule: "1"}, hauberk.Decision{Interceptor: "second", Rule: "2"}
		env := c.Start(t, seen.interceptor(), hauberk.Named("first", decide(second)), hauberk.Named("second", decide(first)))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		if got := <-seen; !slices.Equal(got, []hauberk.Decision{first, second}) {
			t.Errorf("decisions %+v", got)
		}
	})
}
