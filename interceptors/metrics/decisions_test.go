package metrics_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// silent decides on calls and records nothing. The chain infers its decisions.
type silent struct {
	name   string
	reject bool
}

func (s silent) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: s.name, Decides: true}
}

func (s silent) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if s.reject {
		return hauberk.Reject(codes.PermissionDenied, "NOT_ALLOWED", "no")
	}
	return next(ctx, call)
}

// abstaining abstains from deciding.
type abstaining struct{ silent }

func (abstaining) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	call.Abstain()
	return next(ctx, call)
}

func TestDecisions(t *testing.T) {
	const allowed, rejected = hauberk.Allowed, hauberk.Rejected
	tests := []struct {
		name  string
		outer []hauberk.Interceptor // outside the metrics
		inner []hauberk.Interceptor
		want  []metrics.Decision // of two calls; the side is the case's
	}{
		{"no decision", nil, []hauberk.Interceptor{passing}, nil},
		{
			"allowed", nil,
			[]hauberk.Interceptor{silent{"authn", false}, limiter{"limits", false}},
			[]metrics.Decision{{0, "authn", allowed, false, 2}, {0, "limits", allowed, false, 2}},
		},
		{
			"rejected", nil, // inner interceptors do not run
			[]hauberk.Interceptor{silent{"authn", false}, silent{"authz", true}, silent{"limits", false}},
			[]metrics.Decision{{0, "authn", allowed, false, 2}, {0, "authz", rejected, false, 2}},
		},
		{
			"shadow", nil,
			[]hauberk.Interceptor{hauberk.Shadow(silent{"authz", true}), hauberk.Shadow(silent{"limits", false})},
			[]metrics.Decision{{0, "authz", rejected, true, 2}, {0, "limits", allowed, true, 2}},
		},
		{
			"both", nil,
			[]hauberk.Interceptor{hauberk.Shadow(limiter{"limits", true}), limiter{"limits", true}},
			[]metrics.Decision{{0, "limits", rejected, false, 2}, {0, "limits", rejected, true, 2}},
		},
		{"abstained", nil, []hauberk.Interceptor{abstaining{silent{"limits", false}}}, nil},
		{
			"outer interceptors",
			[]hauberk.Interceptor{silent{"authn", false}, hauberk.Shadow(limiter{"limits", true})},
			[]hauberk.Interceptor{silent{"authz", false}},
			[]metrics.Decision{{0, "authz", allowed, false, 2}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				m, without := metrics.New(metrics.Config{Decisions: true}), metrics.New(metrics.Config{})
				env := c.Start(t, slices.Concat(test.outer, []hauberk.Interceptor{m, without}, test.inner)...)
				_, _ = env.Call(t.Context()), env.Call(t.Context())
				want := slices.Clone(test.want)
				for i := range want {
					want[i].Side = c.Side
				}
				if got := m.Decisions(); !slices.Equal(got, want) {
					t.Errorf("decisions %+v, want %+v", got, want)
				}
				if got := without.Decisions(); len(got) != 0 {
					t.Errorf("decisions %+v without Config.Decisions", got)
				}
			})
		})
	}
}

// The number of decisions is bounded, for any name that is recorded.
func TestDecisionsAreBounded(t *testing.T) {
	const limit, calls = 10, 1000
	m := metrics.New(metrics.Config{Decisions: true, MaxReasons: limit})
	i := 0
	call := called(chainOf(t, m, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		i++
		call.Decide(hauberk.Decision{Interceptor: fmt.Sprintf("interceptor%d", i), Verdict: hauberk.Verdict(i % 2), Shadow: i%3 == 0})
		return next(ctx, call)
	})), hauberktest.Conn{})
	for range calls {
		_ = call("/s/m")
	}
	all := m.Decisions()
	var counted, other uint64
	for _, d := range all {
		counted += d.Count
		if d.Interceptor == metrics.Other {
			other += d.Count
		}
	}
	if len(all) > 4*limit+4 || counted != calls || other < calls/2 {
		t.Errorf("%d decisions, %d counted, %d other", len(all), counted, other)
	}
}
