package main

import (
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// The names of the whole chain and of its counterpart, which has no request ids. Hauberk's
// interceptor keeps verified tokens; golang-jwt verifies the token of each call.
const (
	whole          = "recovery + request id + metrics + JSON log + JWT + limit by user"
	wholeName      = "Hauberk, " + whole
	sidecarName    = "Hauberk sidecar, " + whole
	middlewareName = "go-grpc-middleware, recovery + metrics + JSON log + golang-jwt + x/time/rate by user"
)

func wholeChain(id requestid.Config) *hauberk.Chain { return chainOf(wholeInterceptors(id)...) }

// wholeInterceptors are typical of a server in production. They admit every call with a
// valid token.
func wholeInterceptors(id requestid.Config) []hauberk.Interceptor {
	return []hauberk.Interceptor{
		requestid.New(id),
		metrics.New(metrics.Config{}),
		newLogging(),
		recovery.New(recovery.Config{}),
		newAuthn(),
		limitUsers(),
	}
}

// limitUsers counts calls of unknown methods too, since a sidecar knows none.
func limitUsers() hauberk.Interceptor {
	return ratelimit.New(ratelimit.Config{
		Limit: plenty, Per: time.Second, By: callkey.State(authn.User), ChargeUnknown: true,
	})
}
