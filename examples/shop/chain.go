package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/examples/shop/shoppb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
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
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
)

const (
	listMethod    = "hauberk.examples.shop.v1.Shop/ListItems"
	buyMethod     = "hauberk.examples.shop.v1.Shop/Buy"
	restockMethod = "hauberk.examples.shop.v1.Shop/Restock"
	quoteMethod   = "hauberk.examples.shop.v1.Shop/Quote"
)

// telemetry is where logs, metrics and spans go.
type telemetry struct {
	log     *slog.Logger
	metrics prometheus.Registerer
	spans   trace.TracerProvider
}

// policy is what the server accepts.
type policy struct {
	tokens  authn.Method
	tenants tenants
	perUser int // calls in a minute
	drain   hauberk.Drain
}

// newServer returns a server of the shop. Tests add inner interceptors.
func newServer(out telemetry, accept policy, inner ...hauberk.Interceptor) (*hauberk.Server, error) {
	calls := metrics.New(metrics.Config{})
	chain, err := serverChain(out, accept, calls, inner...)
	if err != nil {
		return nil, err
	}
	options := append(hauberk.ServerLimits(), grpc.WaitForHandlers(true)) // TLS: grpc.Creds
	srv := chain.NewServer(options...)
	shoppb.RegisterShopServer(srv, newShop())
	healthpb.RegisterHealthServer(srv, health.NewServer())
	reflection.Register(srv)
	calls.Register(srv.GetServiceInfo()) // all series exist before the first call
	return srv, errors.Join(
		out.metrics.Register(metricsprom.NewServerCollector(calls)),
		out.metrics.Register(metricsprom.NewChainCollector(chain))) // what runs, by method, and the limits
}

// serverChain returns the chain of the server. docs/production.md explains the order.
func serverChain(
	out telemetry, accept policy, calls *metrics.Interceptor, inner ...hauberk.Interceptor,
) (*hauberk.Chain, error) {
	// The only list of methods that need no token, and no tenant.
	public := []string{hauberk.Health, hauberk.Reflection, listMethod}
	config := hauberk.Config{Public: public, ErrorDomain: "shop.example", Drain: accept.drain}
	return config.New(append([]hauberk.Interceptor{
		requestid.New(requestid.Config{}),
		// For untrusted callers set PublicEndpoint and NoBaggage.
		tracing.New(tracing.Config{}, tracing.WithTracerProvider(out.spans)),
		calls,
		logging.New(logging.Config{Rules: []logging.Rule{
			{Methods: []string{buyMethod}, Payloads: new(true)}, // without the fields that are marked debug_redact
		}},
			logging.WithLogger(out.log), logging.WithAttrs(tracing.LogAttrs),
			logging.State("request_id", requestid.Key), logging.State("user", authn.User),
			logging.State("tenant", Tenant)),
		recovery.New(recovery.Config{}, recovery.WithLogger(out.log), recovery.State("request_id", requestid.Key)),
		ratelimit.New(ratelimit.Config{Limit: 1000, Per: time.Second}), // by peer
		authn.New(authn.Config{}, accept.tokens),
		authz.New(authz.Config{Policy: rules()}),
		ratelimit.New(ratelimit.Config{Limit: accept.perUser, Per: time.Minute, By: callkey.State(authn.User)}),
		validate.New(validate.Config{}),        // by the rules in shop.proto
		hauberk.Except(public, accept.tenants), // the interceptor of tenant.go
	}, inner...)...)
}

// rules are who may call which method. What no rule allows is rejected, and Deny wins.
func rules() authz.Policy {
	return authz.Policy{
		Allow: []authz.Rule{
			{Name: "customers buy", Methods: []string{buyMethod}, Roles: []string{"customer"}},
			{Name: "staff restock", Methods: []string{restockMethod}, Roles: []string{"staff"}},
			{Name: "users ask", Methods: []string{quoteMethod}, Subjects: []string{"*"}},
		},
		Deny: []authz.Rule{{Name: "suspended", Methods: []string{"*"}, Roles: []string{"suspended"}}},
	}
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
		authn.NewClient(token, authn.ClientConfig{AllowClearText: true}),
	)
}

// dial connects a client. Outside of an example it uses credentials.NewTLS.
func dial(addr string, out telemetry, token authn.TokenSource) (*grpc.ClientConn, error) {
	chain, err := clientChain(out, token)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(addr, chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}
