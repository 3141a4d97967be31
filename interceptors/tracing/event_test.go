package tracing_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// declaring is an interceptor with a declaration that calls next.
type declaring struct{ decl hauberk.Declaration }

func (d declaring) Declare() hauberk.Declaration { return d.decl }

func (declaring) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

func deciding(name string) hauberk.Interceptor {
	return declaring{hauberk.Declaration{Name: name, Decides: true}}
}

// decider returns an interceptor that records a decision.
func decider(d hauberk.Decision) hauberk.Interceptor {
	return inside(func(_ context.Context, call *hauberk.Call) { call.Decide(d) })
}

// decisionsOf returns the interceptors and verdicts in the events of a span.
func decisionsOf(s sdktrace.ReadOnlySpan) []string {
	var all []string
	for _, e := range s.Events() {
		if e.Name == tracing.EventDecision {
			a := attributes(e.Attributes)
			all = append(all, fmt.Sprint(a["hauberk.interceptor"], " ", a["hauberk.verdict"]))
		}
	}
	return all
}

// The decisions of inner interceptors are events, in their order. Those of outer interceptors are not.
func TestDecisions(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		rejecting := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			call.Decide(hauberk.Decision{Interceptor: "trial", Rule: "rule 7", Verdict: hauberk.Rejected, Reason: "TOO_MANY"})
			return hauberk.Reject(codes.ResourceExhausted, "TOO_MANY", "no")
		})
		shadowed := hauberk.Named("trial", hauberk.Shadow(decidingFunc{rejecting}))
		env := c.Start(t, deciding("outer"), decider(hauberk.Decision{Interceptor: "outmost", Verdict: hauberk.Rejected}),
			tracing.New(tracing.Config{}, s.option()), deciding("quota"), shadowed, deciding("last"))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		span := s.only(t)
		want := []string{"quota allowed", "trial rejected", "last allowed"}
		if got := decisionsOf(span); !slices.Equal(got, want) {
			t.Fatalf("decisions %q, want %q", got, want)
		}
		have(t, span.Events()[1].Attributes, map[string]any{
			"hauberk.shadow": true, "hauberk.rule": "rule 7", "hauberk.reason": "TOO_MANY",
		})
		have(t, span.Attributes(), map[string]any{string(tracing.KeyReason): nil})
	})
}

type decidingFunc struct{ hauberk.Func }

func (decidingFunc) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "trial", Decides: true}
}

// The number of decisions in a span is bounded. Their texts are shortened and valid UTF-8.
func TestDecisionsAreBounded(t *testing.T) {
	s := record()
	long := strings.Repeat("r", 255) + "\xff"
	env := hauberktest.Case{}.Start(t, tracing.New(tracing.Config{}, s.option()),
		inside(func(_ context.Context, call *hauberk.Call) {
			for range 100 {
				call.Decide(hauberk.Decision{Interceptor: "hook", Rule: long, Reason: long, Verdict: hauberk.Rejected})
			}
		}))
	wantCode(t, env.Call(t.Context()).Err, codes.OK)
	env.Server.GracefulStop()
	events := s.only(t).Events()
	if len(events) != 64 {
		t.Fatalf("%d events", len(events))
	}
	have(t, events[0].Attributes, map[string]any{
		"hauberk.rule": strings.Repeat("r", 255) + "\uFFFD", "hauberk.reason": strings.Repeat("r", 63),
	})
}

func TestMessageEvents(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		env := c.Start(t, tracing.New(tracing.Config{MessageEvents: true}, s.option()))
		wantCode(t, env.Call(t.Context(), "a", "b").Err, codes.OK)
		env.Server.GracefulStop()
		got := map[string]int{}
		for _, e := range s.only(t).Events() {
			a := attributes(e.Attributes)
			got[fmt.Sprint(e.Name, a["rpc.message.type"], a["rpc.message.id"])]++
		}
		requests, responses := 1, 1
		if c.Kind.ClientStreams() {
			requests = 2
		}
		if c.Kind == hauberk.Bidi {
			responses = 2
		}
		sent, received := requests, responses
		if c.Side == hauberk.ServerSide {
			sent, received = responses, requests
		}
		want := map[string]int{}
		for i := range sent {
			want[fmt.Sprint("rpc.message", "SENT", int64(i+1))] = 1
		}
		for i := range received {
			want[fmt.Sprint("rpc.message", "RECEIVED", int64(i+1))] = 1
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("events %v, want %v", got, want)
		}
	})
}

// A reason from another server is a rejection on a client, and not on a server whose handler passes it
// on.
func TestReasonOfAnotherServer(t *testing.T) {
	st, err := status.New(codes.Unavailable, "downstream").WithDetails(&errdetails.ErrorInfo{Reason: "QUOTA"})
	if err != nil {
		t.Fatal(err)
	}
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return st.Err() }}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		s := record()
		env := c.StartWith(t, backend, tracing.New(tracing.Config{}, s.option()))
		wantCode(t, env.Call(t.Context()).Err, codes.Unavailable)
		env.Server.GracefulStop()
		want := map[hauberk.Side]any{hauberk.ServerSide: nil, hauberk.ClientSide: "QUOTA"}
		have(t, s.only(t).Attributes(), map[string]any{string(tracing.KeyReason): want[c.Side]})
	})
}
