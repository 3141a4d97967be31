package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// limiter decides on calls and records its decisions.
type limiter struct {
	name   string
	reject bool
}

const limited = "RATE_LIMITED"

func (l limiter) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: l.name, Decides: true}
}

func (l limiter) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if !l.reject {
		call.Decide(hauberk.Decision{Interceptor: l.name, Verdict: hauberk.Allowed})
		return next(ctx, call)
	}
	call.Decide(hauberk.Decision{Interceptor: l.name, Rule: "10/s", Verdict: hauberk.Rejected, Reason: limited})
	return hauberk.Reject(codes.ResourceExhausted, limited, "too many")
}

// wrapping wraps errors. mapping gives them another status.
type (
	wrapping struct{}
	mapping  struct{}
)

func (wrapping) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return fmt.Errorf("wrapped: %w", next(ctx, call))
}

func (mapping) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return mapped{next(ctx, call)}
}

type mapped struct{ error }

func (m mapped) Unwrap() error            { return m.error }
func (mapped) GRPCStatus() *status.Status { return status.New(codes.NotFound, "not here") }

// late rejects a call after next has returned.
type late struct{}

func (late) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	_ = next(ctx, call)
	return hauberk.Reject(codes.Aborted, "LATE", "no")
}

// A rejection by a handler has no interceptor.
func TestRejectedByHandler(t *testing.T) {
	reject := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return hauberk.Reject(codes.FailedPrecondition, "SOLD_OUT", "no")
	}}
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		m := metrics.New(metrics.Config{})
		_ = served(chainOf(t, m), kind, reject)()
		want := []metrics.Rejection{{hauberk.ServerSide, metrics.Enforced, metrics.Unknown, "SOLD_OUT", 1}}
		if got := m.Rejections(); !slices.Equal(got, want) {
			t.Errorf("%s: rejections %+v, want %+v", kind, got, want)
		}
	}
}

func TestRejections(t *testing.T) {
	const own = metrics.Enforced
	allow, deny := limiter{"allowing", false}, limiter{"limits", true}
	tests := []struct {
		name  string
		outer []hauberk.Interceptor // outside the metrics
		inner []hauberk.Interceptor
		want  []metrics.Rejection // of one call; the side is the case's
	}{
		{"none", nil, []hauberk.Interceptor{allow}, nil},
		{
			"decided", nil,
			[]hauberk.Interceptor{allow, deny},
			[]metrics.Rejection{{Origin: own, Interceptor: "limits", Reason: limited, Count: 1}},
		},
		{
			"recorded by the chain", nil,
			[]hauberk.Interceptor{hauberk.Named("guard", reject(codes.Aborted, "BUSY"))},
			[]metrics.Rejection{{Origin: own, Interceptor: "guard", Reason: "BUSY", Count: 1}},
		},
		{
			"rejected after next has returned", nil, // the chain records no decision for it
			[]hauberk.Interceptor{late{}},
			[]metrics.Rejection{{Origin: own, Interceptor: metrics.Unknown, Reason: "LATE", Count: 1}},
		},
		{
			"without a reason", nil,
			[]hauberk.Interceptor{reject(codes.Aborted, "")},
			[]metrics.Rejection{{Origin: own, Interceptor: "func", Reason: hauberk.ReasonMalformed, Count: 1}},
		},
		{
			"wrapped", nil,
			[]hauberk.Interceptor{wrapping{}, deny},
			[]metrics.Rejection{{Origin: own, Interceptor: "limits", Reason: limited, Count: 1}},
		},
		{"given another status", nil, []hauberk.Interceptor{mapping{}, deny}, nil},
		{"an ordinary error", nil, []hauberk.Interceptor{returning(errors.New("plain"))}, nil},
		{
			"shadowed", nil,
			[]hauberk.Interceptor{hauberk.Shadow(deny), hauberk.Shadow(allow)},
			[]metrics.Rejection{{Origin: metrics.Shadowed, Interceptor: "limits", Reason: limited, Count: 1}},
		},
		{
			// The rejection that was not enforced has the same reason.
			"shadowed, then rejected", nil,
			[]hauberk.Interceptor{hauberk.Shadow(deny), reject(codes.Aborted, limited)},
			[]metrics.Rejection{
				{Origin: own, Interceptor: "func", Reason: limited, Count: 1},
				{Origin: metrics.Shadowed, Interceptor: "limits", Reason: limited, Count: 1},
			},
		},
		{"shadowed by an outer interceptor", []hauberk.Interceptor{hauberk.Shadow(deny)}, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				m := metrics.New(metrics.Config{})
				interceptors := slices.Concat(test.outer, []hauberk.Interceptor{m}, test.inner)
				_ = c.Start(t, interceptors...).Call(t.Context())
				want := slices.Clone(test.want)
				for i := range want {
					want[i].Side = c.Side
				}
				if got := m.Rejections(); !slices.Equal(got, want) {
					t.Errorf("rejections %+v, want %+v", got, want)
				}
			})
		})
	}
}

// A rejection by a server counts as enforced on the server and as remote on the client.
func TestRemoteRejections(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			m := metrics.New(metrics.Config{})
			env := hauberktest.Start(t, hauberktest.Setup{
				Kind: kind, Client: chainOf(t, m), Server: chainOf(t, m, limiter{"limits", true}),
			})
			for range 2 {
				_ = env.Call(t.Context())
			}
			want := []metrics.Rejection{
				{hauberk.ServerSide, metrics.Enforced, "limits", limited, 2},
				{hauberk.ClientSide, metrics.Remote, metrics.Unknown, limited, 2},
			}
			if got := m.Rejections(); !slices.Equal(got, want) {
				t.Errorf("rejections %+v, want %+v", got, want)
			}
			s := m.Snapshot()
			if s.Server.Rejections[limited] != 2 || len(s.Client.Rejections) != 0 || s.Client.RemoteRejections[limited] != 2 {
				t.Errorf("snapshot %+v", s)
			}
		})
	}
}

// An ErrorInfo that a handler passes on from another server is not a rejection of its server.
func TestPassedOnErrorInfo(t *testing.T) {
	st, err := status.New(codes.Unavailable, "downstream").WithDetails(
		&errdetails.RetryInfo{}, &errdetails.ErrorInfo{Reason: "QUOTA", Domain: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(metrics.Config{})
	chain := chainOf(t, m)
	env := hauberktest.Start(t, hauberktest.Setup{
		Client: chain, Server: chain,
		Backend: &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return st.Err() }},
	})
	if out := env.Call(t.Context()); hauberk.Reason(out.Err) != "QUOTA" {
		t.Fatal(out.Err)
	}
	want := []metrics.Rejection{{hauberk.ClientSide, metrics.Remote, metrics.Unknown, "QUOTA", 1}}
	if got := m.Rejections(); !slices.Equal(got, want) {
		t.Errorf("rejections %+v, want %+v", got, want)
	}
}

func TestOriginNames(t *testing.T) {
	for o, want := range []string{"enforced", "shadowed", "remote"} {
		if got := metrics.Origin(o).String(); got != want {
			t.Errorf("origin %d is %q, want %q", o, got, want)
		}
	}
}
