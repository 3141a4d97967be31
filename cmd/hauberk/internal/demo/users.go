package demo

import (
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// The shoppers. The shop rejects the calls of all but the first three.
const (
	anna   = "anna"   // on the trade plan
	bertha = "bertha" // on the trial plan
	carla  = "carla"  // on the trade plan; buys second-hand goods, with a breaker
	dora   = "dora"   // has an expired token
	eve    = "eve"    // has a forged token
	felix  = "felix"  // has a token by a key that the issuer has retired
	gerda  = "gerda"  // is suspended

	noToken = "a shopper without a token"
)

// The plans, which have different rate limits.
const (
	planTrade = "trade"
	planTrial = "trial"
)

// The roles of users.
const (
	roleMember    = "member"
	roleSuspended = "suspended"
)

// A user on the trial plan may make trialCalls calls in each trialTime. The first round
// takes much less time.
const (
	trialCalls = 5
	trialTime  = 5 * time.Second
)

func shoppers() []string {
	return []string{anna, bertha, carla, dora, eve, felix, gerda, noToken}
}

// account is what the token of a shopper says in addition to the name.
type account struct {
	Plan  string   `json:"plan"`
	Roles []string `json:"roles"`
}

func accountOf(name string) account {
	switch name {
	case anna, carla:
		return account{planTrade, []string{roleMember}}
	case gerda:
		return account{planTrial, []string{roleMember, roleSuspended}}
	default:
		return account{planTrial, []string{roleMember}}
	}
}

// rules are who may call the shop: members, unless they are suspended.
func rules() authz.Policy {
	return authz.Policy{
		Allow: []authz.Rule{{Name: "members", Methods: []string{"shop.v1.*"}, Roles: []string{roleMember}}},
		Deny:  []authz.Rule{{Name: "suspended", Methods: []string{"*"}, Roles: []string{roleSuspended}}},
	}
}

// limit limits each user on a plan to a number of calls per time.
func limit(plan string, calls int, per time.Duration) hauberk.Interceptor {
	onPlan := func(call *hauberk.Call) bool {
		id, ok := authn.Key.Get(call)
		return ok && id.Claims["plan"] == plan
	}
	return hauberk.When(onPlan, ratelimit.New(ratelimit.Config{
		Limit: calls, Per: per, Algorithm: ratelimit.SlidingWindow, By: callkey.State(authn.User),
	}))
}
