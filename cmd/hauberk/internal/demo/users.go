package demo

import (
	"context"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// The shoppers. The shop rejects the calls of the last three.
const (
	anna   = "anna"   // on the trade plan
	bertha = "bertha" // on the trial plan
	carla  = "carla"  // on the trade plan; buys second-hand goods, with a breaker
	dora   = "dora"   // has an expired token
	eve    = "eve"    // has an invalid token

	noToken = "a shopper without a token"
)

// The plans, which have different rate limits.
const (
	planTrade = "trade"
	planTrial = "trial"
)

// A user on the trial plan may make trialCalls calls in each trialTime. The first round
// takes much less time.
const (
	trialCalls = 5
	trialTime  = 5 * time.Second
)

func shoppers() []string { return []string{anna, bertha, carla, dora, eve, noToken} }

// tokenOf returns the token of a shopper. Real tokens are secret.
func tokenOf(name string) string { return "token-of-" + name }

// accounts returns the shop's users by token.
func accounts() map[string]*authn.Identity {
	on := func(plan string) map[string]any { return map[string]any{"plan": plan} }
	return map[string]*authn.Identity{
		tokenOf(anna):   {Subject: anna, Claims: on(planTrade)},
		tokenOf(bertha): {Subject: bertha, Claims: on(planTrial)},
		tokenOf(carla):  {Subject: carla, Claims: on(planTrade)},
		tokenOf(dora):   {Subject: dora, Claims: on(planTrial), Expires: time.Unix(1_700_000_000, 0)},
	}
}

// validator accepts the tokens of the known accounts.
func validator(known map[string]*authn.Identity) authn.Validator {
	return func(_ context.Context, token string) (*authn.Identity, error) {
		if id, ok := known[token]; ok {
			return id, nil
		}
		return nil, authn.ErrInvalidToken
	}
}

// limit limits each user on a plan to a number of calls per time.
func limit(plan string, calls int, per time.Duration) hauberk.Interceptor {
	onPlan := func(call *hauberk.Call) bool {
		id, ok := authn.Key.Get(call)
		return ok && id.Claims["plan"] == plan
	}
	return hauberk.When(onPlan, ratelimit.New(ratelimit.Config{
		Limit: calls, Per: per, Algorithm: ratelimit.SlidingWindow, By: ratelimit.ByState(authn.User),
	}))
}
