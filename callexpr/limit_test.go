package callexpr_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callexpr"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

const hour = time.Hour

// sending is a context whose calls send metadata.
func sending(ctx context.Context, pairs ...string) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Pairs(pairs...))
}

// Calls with the same value share a quota, on both sides, and those without one have that of their
// peer.
func TestRateLimit(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		env := c.Start(t, login{}, ratelimit.New(ratelimit.Config{
			Limit: 1, Per: hour, By: callexpr.Key("plan", `identity.subject + " " + metadata.plan.last()`),
		}))
		for _, step := range []struct {
			pairs []string
			want  codes.Code
		}{
			{[]string{"user", "alice", "plan", "a"}, codes.OK},
			{[]string{"user", "alice", "plan", "a"}, codes.ResourceExhausted},
			{[]string{"user", "alice", "plan", "b"}, codes.OK},
			{[]string{"user", "bob", "plan", "a"}, codes.OK},
			{[]string{"user", "alice", "plan", "b", "plan", "a"}, codes.ResourceExhausted},
			{[]string{"user", "alice"}, codes.OK}, // by peer
			{[]string{"plan", "a"}, codes.ResourceExhausted},
			{nil, codes.ResourceExhausted},
		} {
			if err := env.Call(sending(t.Context(), step.pairs...)).Err; status.Code(err) != step.want {
				t.Errorf("%v: %v, want %s", step.pairs, err, step.want)
			}
		}
	})
}

// A call takes as many permits as its expression says. One without a cost takes what Methods and Call
// say, and never none.
func TestRateLimitCost(t *testing.T) {
	const byClaim = `int(identity.claims.weight)`
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for _, step := range []struct {
			cost  ratelimit.Cost
			pairs []string
			want  int // calls of 12 permits
		}{
			{ratelimit.Cost{Of: callexpr.Cost(byClaim)}, []string{"user", "a", "weight", "6"}, 2},
			{ratelimit.Cost{Of: callexpr.Cost(byClaim)}, []string{"user", "a", "weight", "13"}, 0},
			{ratelimit.Cost{Of: callexpr.Cost(byClaim)}, []string{"user", "a", "weight", "heavy"}, 12},
			{ratelimit.Cost{Of: callexpr.Cost(byClaim)}, []string{"user", "a", "weight", "-1"}, 12},
			{ratelimit.Cost{Of: callexpr.Cost(byClaim)}, nil, 12},
			{ratelimit.Cost{Of: callexpr.Cost(byClaim), Call: 4}, nil, 3},
			{ratelimit.Cost{Of: callexpr.Cost(byClaim), Methods: map[string]int{"*": 12}}, nil, 1},
			{ratelimit.Cost{Of: callexpr.Cost(byClaim), Charged: true}, nil, 12},
			{ratelimit.Cost{Of: callexpr.Cost(`0.1 + 3.0`)}, nil, 3},
		} {
			env := c.Start(t, login{}, ratelimit.New(ratelimit.Config{
				Limit: 12, Per: 1000 * hour, By: callkey.Global(), Cost: step.cost,
			}))
			admitted := 0
			for range 20 {
				if err := env.Call(sending(t.Context(), step.pairs...)).Err; err != nil {
					wantCode(t, err, codes.ResourceExhausted)
					break
				}
				admitted++
			}
			if admitted != step.want {
				t.Errorf("%v: %d calls admitted, want %d", step.pairs, admitted, step.want)
			}
		}
	})
}

// Calls with the same value share a limit of calls in flight, on both sides.
func TestConcurrencyLimit(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		release, running := make(chan struct{}), make(chan struct{})
		var blocked atomic.Bool
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if blocked.CompareAndSwap(false, true) {
				close(running)
				<-release
			}
			return hauberktest.Echo(ctx, s)
		}}
		env := c.StartWith(t, backend, login{}, concurrency.New(concurrency.Config{
			Limit: 1, By: callexpr.Key("plan", `metadata.plan.last()`),
		}))
		done := make(chan error)
		go func() { done <- env.Call(sending(t.Context(), "plan", "a")).Err }()
		<-running
		wantCode(t, env.Call(sending(t.Context(), "plan", "a")).Err, codes.ResourceExhausted)
		wantCode(t, env.Call(sending(t.Context(), "plan", "b")).Err, codes.OK)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		close(release)
		wantCode(t, <-done, codes.OK)
	})
}

// What is wrong with an expression is an error of hauberk.New, also in a further limit.
func TestNew(t *testing.T) {
	limit := ratelimit.Config{Limit: 1, Per: hour}
	key, cost, more := limit, limit, limit
	key.By = callkey.All(callkey.Method(), callexpr.Key("plan", `identity.plan`))
	cost.Cost.Of = callexpr.Cost(`request.weight`)
	more.Also = []ratelimit.Config{{Limit: 1, Per: hour, Cost: ratelimit.Cost{Of: callexpr.Cost(`1 +`)}}}
	for want, x := range map[string]hauberk.Interceptor{
		`By: callexpr.Key "plan": "identity.plan": 1:9: undefined field`:      ratelimit.New(key),
		`Cost.Of: callexpr.Cost: "request.weight": 1:1: undeclared reference`: ratelimit.New(cost),
		`Also[0]: Cost.Of: callexpr.Cost: "1 +": 1:4: Syntax error`:           ratelimit.New(more),
		`callexpr.Key "plan": "metadata.plan": it returns list(string)`:       concurrency.New(concurrency.Config{Limit: 1, By: callexpr.Key("plan", `metadata.plan`)}),
	} {
		_, err := hauberk.New(login{}, x)
		wantErr(t, err, want)
	}
}

// An expression with the identity belongs inside authentication, as callkey.User does, and so does a
// cost with it.
func TestOrder(t *testing.T) {
	key := ratelimit.Config{Limit: 1, Per: hour, By: callexpr.Key("tenant", `identity.tenant`)}
	cost := ratelimit.Config{Limit: 1, Per: hour, Cost: ratelimit.Cost{Of: callexpr.Cost(`"a" in identity.roles ? 1 : 2`)}}
	for _, config := range []ratelimit.Config{key, cost} {
		limiter := ratelimit.New(config)
		if d := limiter.Declare(); d.Phase != hauberk.PhaseLimit {
			t.Errorf("phase %v", d.Phase)
		}
		_, err := hauberk.New(limiter, login{})
		wantErr(t, err, `reads the state "identity" before it is written`)
		if _, err := hauberk.New(login{}, limiter); err != nil {
			t.Error(err)
		}
	}
	outside := ratelimit.New(ratelimit.Config{Limit: 1, Per: hour, By: callexpr.Key("plan", `metadata.plan.last()`)})
	if _, err := hauberk.New(outside, login{}); err != nil {
		t.Error(err)
	}
}

// Limits by a key with the identity spare public methods, as those by callkey.User do. Other keys do not.
func TestPublicMethods(t *testing.T) {
	for text, want := range map[string]codes.Code{
		`has(identity.subject) ? identity.subject : "no one"`: codes.OK,
		`method`: codes.ResourceExhausted,
	} {
		chain, err := hauberk.Config{Public: []string{"*"}}.New(login{}, ratelimit.New(ratelimit.Config{
			Limit: 1, Per: hour, By: callexpr.Key("k", text),
		}))
		if err != nil {
			t.Fatal(err)
		}
		serve := hauberktest.Direct{}.Server(chain)
		wantCode(t, serve(request{}.context()), codes.OK)
		wantCode(t, serve(request{}.context()), want)
	}
}
