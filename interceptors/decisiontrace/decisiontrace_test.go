package decisiontrace_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

const unknownMethod = "/hauberk.test.v1.TestService/Unknown"

// eachKind runs a test for each kind of method and checks for goroutine leaks.
func eachKind(t *testing.T, test func(t *testing.T, c hauberktest.Case)) {
	t.Helper()
	for _, c := range hauberktest.Cases() {
		if c.Side == hauberk.ServerSide {
			t.Run(c.Kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				test(t, c)
			})
		}
	}
}

// traces returns the interceptor of most tests. The identity ops receives the trace.
func traces() hauberk.Interceptor {
	return decisiontrace.New(decisiontrace.Config{Identities: []string{"ops"}}, decisiontrace.By(authn.User))
}

// validate accepts the names of known users as tokens.
func validate(_ context.Context, token string) (*authn.Identity, error) {
	if !slices.Contains([]string{"ops", "alice", "Ops", "ops2"}, token) {
		return nil, authn.ErrInvalidToken
	}
	return &authn.Identity{Subject: token}, nil
}

func bearer() hauberk.Interceptor { return authn.New(authn.Config{}, authn.Bearer(validate)) }

func guard() hauberk.Interceptor {
	return recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
}

// rejecter is an interceptor that rejects by a secret rule.
type rejecter struct{ err error }

const canary = "canary-rule-8c1f"

func (r rejecter) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "rejecter", Decides: true}
}

func (r rejecter) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if r.err == nil {
		return next(ctx, call)
	}
	call.Decide(hauberk.Decision{Interceptor: "rejecter", Rule: canary, Verdict: hauberk.Rejected, Reason: hauberk.Reason(r.err)})
	return r.err
}

var (
	errRejected = hauberk.Reject(codes.PermissionDenied, "NOT_ALLOWED", "no")
	shadowed    = hauberk.Shadow(rejecter{errRejected})
)

// as returns the context of a call with a token that requests the trace.
func as(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(decisiontrace.Ask(ctx), "authorization", "Bearer "+token)
}

var (
	authnAllowed     = hauberk.Decision{Interceptor: "authn"}
	limitAllowed     = hauberk.Decision{Interceptor: "ratelimit"}
	shadowRejected   = hauberk.Decision{Interceptor: "rejecter", Rule: canary, Verdict: hauberk.Rejected, Reason: "NOT_ALLOWED", Shadow: true}
	rejecterRejected = hauberk.Decision{Interceptor: "rejecter", Rule: canary, Verdict: hauberk.Rejected, Reason: "NOT_ALLOWED"}
)

func limit() hauberk.Interceptor {
	return ratelimit.New(ratelimit.Config{Limit: 10, Per: time.Hour, By: callkey.State(authn.User)})
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func wantTrace(t *testing.T, trailer metadata.MD, want []hauberk.Decision) {
	t.Helper()
	got, err := decisiontrace.Parse(trailer)
	if err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The trace contains the rule of a limiter that rejects after authentication.
func TestRejectionByLimiter(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		strict := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.State(authn.User)})
		env := c.Start(t, traces(), bearer(), strict)
		wantTrace(t, env.Call(as(patient(t), "ops")).Trailer, []hauberk.Decision{authnAllowed, limitAllowed})
		out := env.Call(as(patient(t), "ops"))
		if hauberk.Reason(out.Err) != ratelimit.ReasonLimited {
			t.Fatalf("error %v", out.Err)
		}
		wantTrace(t, out.Trailer, []hauberk.Decision{
			authnAllowed,
			{Interceptor: "ratelimit", Rule: "1 in 1h0m0s by user", Verdict: hauberk.Rejected, Reason: ratelimit.ReasonLimited},
		})
	})
}

// The trailer keeps the values of the handler, including the pushback of retries.
func TestOtherTrailers(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			s.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "250", "own", "1", "own", "2"))
			return status.Error(codes.Unavailable, "later")
		}}
		out := c.StartWith(t, backend, traces(), bearer()).Call(as(patient(t), "ops"))
		for key, want := range map[string][]string{"grpc-retry-pushback-ms": {"250"}, "own": {"1", "2"}} {
			if got := out.Trailer.Get(key); !slices.Equal(got, want) {
				t.Errorf("trailer %s has %q, want %q", key, got, want)
			}
		}
		wantTrace(t, out.Trailer, []hauberk.Decision{authnAllowed})
	})
}

func TestOwnKeys(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		x := decisiontrace.New(decisiontrace.Config{
			Identities: []string{"bob", "ops"}, Authenticator: "bearer", Request: "X-Why", Trailer: "X-Because",
		}, decisiontrace.By(authn.User))
		env := c.Start(t, x, hauberk.Named("bearer", bearer()))
		out := env.Call(metadata.AppendToOutgoingContext(as(patient(t), "ops"), "x-why", "1"))
		got, err := decisiontrace.ParseKey(out.Trailer, "x-because")
		if want := []hauberk.Decision{{Interceptor: "bearer"}}; err != nil || !slices.Equal(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		wantTrace(t, out.Trailer, nil) // under the other key
	})
}

// Each of several concurrent calls receives its own trace, or none.
func TestConcurrentCalls(t *testing.T) {
	hauberktest.CheckLeaks(t)
	rule := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Decide(hauberk.Decision{Interceptor: "marker", Rule: call.Metadata(ctx, "mark")[0]})
		return next(ctx, call)
	}
	env := hauberktest.Case{Kind: hauberk.Bidi}.Start(t, traces(), bearer(), hauberk.Named("marker", hauberk.Func(rule)))
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			user := []string{"ops", "alice"}[i%2]
			for k := range 25 {
				mark := fmt.Sprintf("%d-%d", i, k)
				out := env.Call(metadata.AppendToOutgoingContext(as(t.Context(), user), "mark", mark))
				want := []hauberk.Decision{authnAllowed, {Interceptor: "marker", Rule: mark}}
				if user != "ops" {
					want = nil
				}
				if got, err := decisiontrace.Parse(out.Trailer); err != nil || !slices.Equal(got, want) {
					t.Errorf("%s received %+v, %v; want %+v", user, got, err, want)
				}
			}
		}()
	}
	for range 8 {
		<-done
	}
}

// A chain with the interceptor cannot be attached to a client.
func TestServersOnly(t *testing.T) {
	chain := hauberk.Must(hauberk.New(traces(), bearer()))
	if findings := chain.Lint(hauberk.ServerSide); len(findings) != 0 {
		t.Errorf("on a server: %+v", findings)
	}
	for _, f := range chain.Lint(hauberk.ClientSide) {
		if f.Outer == "decisiontrace" && strings.Contains(f.Message, "only on") {
			return
		}
	}
	t.Errorf("on a client: %+v", chain.Lint(hauberk.ClientSide))
}
