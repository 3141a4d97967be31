package tracing_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// linked makes a call with the trace of a caller. It reports whether the server's span starts a new
// trace with a link to the caller's span.
func linked(t *testing.T, kind hauberk.Kind, config tracing.Config, options ...tracing.Option) bool {
	t.Helper()
	s := record()
	env := hauberktest.Case{Kind: kind}.Start(t, tracing.New(config, append(options, s.option())...))
	wantCode(t, env.Call(calling(t.Context(), "traceparent", sampled)).Err, codes.OK)
	env.Server.GracefulStop()
	span := s.only(t)
	own := !span.Parent().IsValid()
	if own == (span.SpanContext().TraceID() == mustTraceID(t)) {
		t.Errorf("a span of trace %s with parent %v", span.SpanContext().TraceID(), span.Parent())
	}
	if links := span.Links(); own && (len(links) != 1 || links[0].SpanContext.SpanID().String() != callersSpan) ||
		!own && len(links) != 0 {
		t.Errorf("linked spans %v", links)
	}
	return own
}

func TestNewTraces(t *testing.T) {
	longLived := []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for _, test := range []struct {
			name    string
			config  tracing.Config
			options []tracing.Option
			want    bool
		}{
			{"default", tracing.Config{}, nil, false},
			{"public", tracing.Config{PublicEndpoint: true}, nil, true},
			{"by kind", tracing.Config{NewTraceKinds: longLived}, nil, c.Kind.ServerStreams()},
			{"by call", tracing.Config{}, []tracing.Option{tracing.WithNewTrace(func(call *hauberk.Call) bool {
				return call.Kind().ClientStreams()
			})}, c.Kind.ClientStreams()},
		} {
			if got := linked(t, c.Kind, test.config, test.options...); got != test.want {
				t.Errorf("%s: new trace: %v, want %v", test.name, got, test.want)
			}
		}
	})
}

// hauberk.For and Except select the methods.
func TestNewTracesByPattern(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.Bidi} {
		s := record()
		env := hauberktest.Case{Kind: kind}.Start(t,
			hauberk.For(hauberktest.FullMethod(hauberk.Bidi), tracing.New(tracing.Config{PublicEndpoint: true}, s.option())),
			hauberk.Except(hauberktest.FullMethod(hauberk.Bidi), tracing.New(tracing.Config{}, s.option())))
		wantCode(t, env.Call(calling(t.Context(), "traceparent", sampled)).Err, codes.OK)
		env.Server.GracefulStop()
		if got := len(s.only(t).Links()) == 1; got != (kind == hauberk.Bidi) {
			t.Errorf("%s: linked %v", kind, got)
		}
	}
}

// Callers that set the sampled flag 5,000 times per second receive no more samples than configured. On a
// public endpoint only the sampler of the server decides (ATTACKS G04).
func TestForcedSamples(t *testing.T) {
	const flood = 5000
	for _, test := range []struct {
		name         string
		config       tracing.Config
		root         sdktrace.Sampler
		first, again int // samples in the first second and in the next
	}{
		{"default", tracing.Config{}, sdktrace.NeverSample(), flood, flood},
		{"bounded", tracing.Config{MaxForcedSamples: 10}, sdktrace.NeverSample(), 10, 10},
		{"bounded, the root samples", tracing.Config{MaxForcedSamples: 10}, sdktrace.AlwaysSample(), 10, 10},
		{"public", tracing.Config{PublicEndpoint: true}, sdktrace.NeverSample(), 0, 0},
		{"public, the root samples", tracing.Config{PublicEndpoint: true, MaxForcedSamples: 1}, sdktrace.AlwaysSample(), flood, flood},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := record(sdktrace.ParentBased(test.root))
			clock := hauberktest.NewClock()
			call := served(hauberk.Must(hauberk.New(
				tracing.New(test.config, s.option(), tracing.WithClock(clock.Now)))), callerContext(sampled))
			for second, want := range []int{test.first, test.again} {
				s.Reset()
				for range flood {
					if err := call(); err != nil {
						t.Fatal(err)
					}
				}
				if got := len(s.Ended()); got != want {
					t.Errorf("second %d: %d samples of %d calls, want %d", second+1, got, flood, want)
				}
				clock.Advance(time.Second)
			}
		})
	}
}

// Calls without a sampled flag do not use up the bound on forced samples.
func TestUnforcedSamples(t *testing.T) {
	s := record(sdktrace.ParentBased(sdktrace.AlwaysSample()))
	clock := hauberktest.NewClock()
	interceptor := tracing.New(tracing.Config{MaxForcedSamples: 1}, s.option(), tracing.WithClock(clock.Now))
	chain := hauberk.Must(hauberk.New(interceptor))
	for _, ctx := range []context.Context{callerContext(unsampled), callerContext(""), callerContext(sampled), callerContext(sampled)} {
		if err := served(chain, ctx)(); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.Ended()); got != 2 { // the root and the first forced one
		t.Errorf("%d spans sampled, want 2", got)
	}
}

// The function of WithNewTrace is called once per call.
func TestNewTraceIsCalledOnce(t *testing.T) {
	var calls atomic.Int32
	f := func(*hauberk.Call) bool { calls.Add(1); return true }
	if !linked(t, hauberk.Bidi, tracing.Config{}, tracing.WithNewTrace(f)) || calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}
