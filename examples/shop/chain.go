package main

import (
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/forward"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

const (
	allMethods = "hauberk.examples.shop.v1.Shop/*"
	listMethod = "hauberk.examples.shop.v1.Shop/ListItems"
	buyMethod  = "hauberk.examples.shop.v1.Shop/Buy"
)

// telemetry is where logs, metrics and spans go.
type telemetry struct {
	log     *slog.Logger
	metrics prometheus.Registerer
	spans   trace.TracerProvider
}

// policy is what the server accepts.
type policy struct {
	keys    jose.JSONWebKeySet // of the issuer of tokens
	tenants tenants
	perUser int // calls in a minute
}

// serverChain returns the chain of the server. docs/production.md explains the order.
// Tests add inner interceptors.
func serverChain(out telemetry, accept policy, inner ...hauberk.Interceptor) (*hauberk.Chain, error) {
	calls := metrics.New(metrics.Config{})
	if err := out.metrics.Register(metricsprom.NewServerCollector(calls)); err != nil {
		return nil, err
	}
	return hauberk.Config{
		// The only list of methods that need no token.
		Public:      []string{hauberk.Health, hauberk.Reflection, listMethod},
		ErrorDomain: "shop.example",
	}.New(append([]hauberk.Interceptor{
		requestid.New(requestid.Config{}),
		tracing.New(tracing.Config{}, tracing.WithTracerProvider(out.spans)), // untrusted callers: PublicEndpoint, NoBaggage
		calls,
		logging.New(logging.Config{Rules: []logging.Rule{
			{Methods: []string{buyMethod}, Payloads: new(true)}, // without the fields that are marked debug_redact
		}},
			logging.WithLogger(out.log), logging.WithAttrs(tracing.LogAttrs),
			logging.State("request_id", requestid.Key), logging.State("user", authn.User),
			logging.State("tenant", Tenant)),
		recovery.New(recovery.Config{}, recovery.WithLogger(out.log), recovery.State("request_id", requestid.Key)),
		ratelimit.New(ratelimit.Config{Limit: 1000, Per: time.Second}), // by peer
		authn.New(authn.Config{}, authn.Bearer(validator(accept.keys), authn.CacheTokens(10_000, time.Minute))),
		ratelimit.New(ratelimit.Config{Limit: accept.perUser, Per: time.Minute, By: ratelimit.ByState(authn.User)}),
		hauberk.For(allMethods, accept.tenants), // the interceptor of tenant.go
	}, inner...)...)
}

// clientChain returns the chain of a client. Interceptors after retry run for each attempt.
func clientChain(out telemetry, token authn.TokenSource) (*hauberk.Chain, error) {
	calls := metrics.New(metrics.Config{})
	if err := out.metrics.Register(metricsprom.NewClientCollector(calls)); err != nil {
		return nil, err
	}
	spans := tracing.New(tracing.Config{}, tracing.WithTracerProvider(out.spans))
	return hauberk.New(
		forward.New(forward.Config{Metadata: []string{tenantHeader}}), // in calls that a handler makes
		requestid.New(requestid.Config{}),
		spans,
		calls,
		logging.New(logging.Config{}, logging.WithLogger(out.log), logging.State("request_id", requestid.Key)),
		recovery.New(recovery.Config{}, recovery.WithLogger(out.log)),
		retry.New(retry.Config{MaxAttempts: 3, InitialBackoff: 20 * time.Millisecond}), // idempotent methods
		spans.Attempts(),
		breaker.New(breaker.Config{FailureThreshold: 5, OpenFor: 10 * time.Second}),
		authn.NewClient(token, authn.ClientConfig{}),
	)
}
