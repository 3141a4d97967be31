package breaker_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// startFallback is a client with an open circuit and a fallback. decided returns the decisions of the
// last call.
func startFallback(
	t *testing.T, kind hauberk.Kind, outer hauberk.Interceptor,
	fallback func(ctx context.Context, call *hauberk.Call, rejection error) error,
) (w *world, decided func() []hauberk.Decision) {
	t.Helper()
	b := breaker.New(config, breaker.WithFallback(fallback))
	var last []hauberk.Decision
	look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		defer func() { last = call.Decisions().All() }()
		return next(ctx, call)
	})
	chain := []hauberk.Interceptor{look, b}
	if outer != nil {
		chain = append([]hauberk.Interceptor{outer}, chain...)
	}
	w = startChain(t, kind, b, chain...)
	w.repeat(t, 3, codes.Unavailable)
	return w, func() []hauberk.Decision { return last }
}

// TestFallback: a fallback answers rejected calls of all kinds, and only those.
func TestFallback(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		w, decided := startFallback(t, kind, nil, func(_ context.Context, call *hauberk.Call, rejection error) error {
			if !errors.Is(rejection, breaker.ErrOpen) {
				t.Errorf("the rejection is %v", rejection)
			}
			return call.Reply(&testpb.Response{Text: "kept"})
		})
		sent := w.calls.Load()
		result := w.Call(t.Context())
		if result.Err != nil || !slices.Equal(result.Texts(), []string{"kept"}) {
			t.Errorf("%+v, want the reply of the fallback", result)
		}
		if got := decided(); len(got) != 1 || got[0].Verdict != hauberk.Allowed || got[0].Reason != breaker.ReasonFallback ||
			got[0].Rule != service || got[0].Interceptor != "breaker" {
			t.Errorf("decisions %+v", got)
		}
		if w.calls.Load() != sent || measured(w.breaker, "breaker_fallbacks_total") != 1 {
			t.Error("the call was sent, or not counted as a fallback")
		}
		w.wantState(t, breaker.Open)
	})
}

// TestFallbackFails: the error of a fallback, such as the rejection, is that of the call.
func TestFallbackFails(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		var own error
		w, decided := startFallback(t, kind, nil, func(_ context.Context, _ *hauberk.Call, rejection error) error {
			if own != nil {
				return own
			}
			return rejection
		})
		if err := w.call(t, codes.OK); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("got %v, want the rejection", err)
		}
		own = status.Error(codes.NotFound, "not kept")
		if err := w.call(t, codes.OK); status.Code(err) != codes.NotFound {
			t.Errorf("got %v, want the error of the fallback", err)
		}
		if got := decided(); len(got) != 1 || got[0].Verdict != hauberk.Rejected || got[0].Reason != breaker.ReasonOpen {
			t.Errorf("decisions %+v", got)
		}
	})
}

// TestFallbackPanics: a panic of a fallback is one of the interceptor, which recovery contains. The
// circuit works on.
func TestFallbackPanics(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		panics := true
		guard := recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
		w, decided := startFallback(t, kind, guard, func(_ context.Context, _ *hauberk.Call, rejection error) error {
			if panics {
				panic("on purpose")
			}
			return rejection
		})
		if err := w.call(t, codes.OK); status.Code(err) != codes.Internal {
			t.Errorf("got %v, want INTERNAL", err)
		}
		if got := decided(); len(got) != 1 || got[0].Verdict != hauberk.Rejected {
			t.Errorf("decisions %+v", got)
		}
		panics = false
		if err := w.call(t, codes.OK); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("got %v, want the rejection", err)
		}
		w.wantState(t, breaker.Open)
	})
}

// TestFallbackInShadow: in a dry run the fallback does not run, and the call is made.
func TestFallbackInShadow(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		b := breaker.New(config, breaker.WithFallback(func(context.Context, *hauberk.Call, error) error {
			t.Error("the fallback runs")
			return nil
		}))
		shadow := hauberk.Shadow(b)
		w := startChain(t, kind, b, shadow)
		w.repeat(t, 3, codes.Unavailable)
		if err := w.call(t, codes.OK); err != nil || shadow.Rejections() != 1 {
			t.Errorf("%v, %d would have been rejected", err, shadow.Rejections())
		}
	})
}

// TestWithOutcome: a function distinguishes failures from successes by responses and errors.
func TestWithOutcome(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		var asked atomic.Int64
		w := startOptions(t, kind, config, []breaker.Option{breaker.WithOutcome(
			func(call *hauberk.Call, err error, usual breaker.Outcome) breaker.Outcome {
				asked.Add(1)
				switch {
				case status.Code(err) == codes.Aborted:
					return breaker.Neutral
				case status.Code(err) == codes.NotFound:
					return breaker.Failure
				case err == nil && !kind.ServerStreams():
					if r, ok := call.Response().(*testpb.Response); ok && r.GetText() == "echo:HTTP 503" {
						return breaker.Failure
					}
				}
				return usual
			})})
		w.repeat(t, 1, codes.NotFound)
		w.repeat(t, 2, codes.Aborted)
		w.repeat(t, 1, codes.Unavailable)
		if got := w.breaker.Failures()[service]; got != 2 {
			t.Errorf("%d failures, want 2", got)
		}
		before := asked.Load()
		w.repeat(t, 2, codes.Canceled)
		if asked.Load() != before {
			t.Error("it runs for calls that count for nothing")
		}
		if kind.ServerStreams() {
			return
		}
		w.answer.Store(uint32(codes.OK))
		if r := w.Call(t.Context(), "HTTP 503"); r.Err != nil {
			t.Fatal(r.Err)
		}
		w.wantState(t, breaker.Open)
		if last := w.breaker.Circuits()[0].LastFailure; last == nil || status.Code(last) == codes.Unavailable {
			t.Errorf("the last failure is %v", last)
		}
	})
}

// TestOutcomePanics: a panic of the function continues, and a probe gives its place back.
func TestOutcomePanics(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		var panics atomic.Bool
		b := breaker.New(breaker.Config{FailureThreshold: 1, HalfOpenMaxCalls: 1, OpenFor: 1},
			breaker.WithOutcome(func(_ *hauberk.Call, _ error, usual breaker.Outcome) breaker.Outcome {
				if panics.Load() {
					panic("on purpose")
				}
				return usual
			}))
		guard := recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
		w := startChain(t, kind, b, guard, b)
		w.repeat(t, 1, codes.Unavailable)
		panics.Store(true)
		for range 3 {
			if err := w.call(t, codes.OK); status.Code(err) != codes.Internal {
				t.Errorf("got %v, want INTERNAL", err)
			}
			if c := b.Circuits()[0]; c.State != breaker.HalfOpen || c.Probes != 0 {
				t.Errorf("%+v", c)
			}
		}
		panics.Store(false)
		if err := w.call(t, codes.OK); err != nil {
			t.Error(err)
		}
		w.wantState(t, breaker.Closed)
	})
}

// TestCircuits: the list has the counts, the last failure and the time that is left.
func TestCircuits(t *testing.T) {
	w := start(t, hauberk.Unary, breaker.Config{FailureThreshold: 2, FailureRatio: 1})
	w.repeat(t, 1, codes.Unavailable)
	c := w.breaker.Circuits()[0]
	if c.Name != service || c.Failures != 1 || c.Window != (breaker.Counts{Calls: 1, Failures: 1}) ||
		status.Code(c.LastFailure) != codes.Unavailable || c.OpenFor != 0 {
		t.Errorf("%+v", c)
	}
	w.repeat(t, 1, codes.Unavailable)
	w.clock.Advance(10 * time.Second)
	c = w.breaker.Circuits()[0]
	if c.State != breaker.Open || c.OpenFor != 50*time.Second || c.Changes != 1 {
		t.Errorf("%+v", c)
	}
}
