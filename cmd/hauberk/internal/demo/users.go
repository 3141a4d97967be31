package demo

import (
	"context"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// The shoppers. Those without an account call in vain.
const (
	anna   = "anna"   // on the trade plan
	bertha = "bertha" // on the trial plan
	carla  = "carla"  // on the trade plan; buys second-hand, through a breaker
	dora   = "dora"   // her token has expired
	eve    = "eve"    // made her token up
	nobody = "no one" // has none
)

// Plans, which say how often a user may call.
const (
	planTrade = "trade"
	planTrial = "trial"
)

// trialCalls is how often a user on the trial plan may call in each trialTime,
// which is far longer than the first round takes.
const (
	trialCalls = 5
	trialTime  = 5 * time.Second
)

func shoppers() []string { return []string{anna, bertha, carla, dora, eve, nobody} }

// tokenOf makes up the token of a shopper: this is a demo.
func tokenOf(name string) string { return "token-of-" + name }

// accounts returns whom the shop knows, by token.
func accounts() map[string]*authn.Identity {
	on := func(plan string) map[string]any { return map[string]any{"plan": plan} }
	return map[string]*authn.Identity{
		tokenOf(anna):   {Subject: anna, Claims: on(planTrade)},
		tokenOf(bertha): {Subject: bertha, Claims: on(planTrial)},
		tokenOf(carla):  {Subject: carla, Claims: on(planTrade)},
		tokenOf(dora):   {Subject: dora, Claims: on(planTrial), Expires: time.Unix(1_700_000_000, 0)},
	}
}

// validator knows the tokens of these accounts.
func validator(known map[string]*authn.Identity) authn.Validator {
	return func(_ context.Context, token string) (*authn.Identity, error) {
		if id, ok := known[token]; ok {
			return id, nil
		}
		return nil, authn.ErrInvalidToken
	}
}

// limit gives each user on a plan the quota of that plan.
func limit(plan string, calls int, per time.Duration) hauberk.Interceptor {
	onPlan := func(call *hauberk.Call) bool {
		id, ok := authn.Key.Get(call)
		return ok && id.Claims["plan"] == plan
	}
	return hauberk.When(onPlan, ratelimit.New(ratelimit.Config{
		Limit: calls, Per: per, Algorithm: ratelimit.SlidingWindow, By: ratelimit.ByState(authn.User),
	}))
}
