package grpctransport

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // makes health checks
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/hauberk-rpc/hauberk/gateway/internal/dial"
	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// connect returns the options for the connections. of has its defaults set.
func connect(address string, of transport.Connections) ([]grpc.DialOption, error) {
	config, err := serviceConfig(of)
	if err != nil {
		return nil, err
	}
	secure := insecure.NewCredentials()
	if of.TLS != nil {
		secure = credentials.NewTLS(of.TLS)
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(secure),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithContextDialer(dialer(dial.TCP(of.TCPTimeout))),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: of.MinBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: of.MaxBackoff,
			},
			MinConnectTimeout: of.ConnectTimeout,
		}),
	}
	if of.PingAfter > 0 {
		opts = append(opts, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: of.PingAfter, Timeout: of.PingTimeout, PermitWithoutStream: of.PingIdle,
		}))
	}
	if isList(address) {
		list, err := addressList(address)
		if err != nil {
			return nil, err
		}
		opts = append(opts, list...)
	}
	return opts, nil
}

// serviceConfig returns the service config of gRPC with the policy and the health check.
func serviceConfig(of transport.Connections) (string, error) {
	config := map[string]any{"loadBalancingConfig": []any{map[string]any{of.Policy: struct{}{}}}}
	if of.HealthCheck {
		config["healthCheckConfig"] = map[string]string{"serviceName": of.HealthService}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("the service config: %w", err)
	}
	return string(text), nil
}

// dialer adapts a dialer to grpc-go, which passes sockets as targets.
func dialer(connect dial.Func) func(ctx context.Context, address string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			return connect(ctx, "unix", strings.TrimPrefix(path, "//"))
		}
		return connect(ctx, "tcp", address)
	}
}

// isList reports whether a target has the scheme ipv4 or ipv6, which grpc-go lacks.
func isList(address string) bool {
	scheme, _, _ := strings.Cut(address, ":")
	return scheme == "ipv4" || scheme == "ipv6"
}

// addressList returns the options for a list of addresses. The authority is the first one.
func addressList(address string) ([]grpc.DialOption, error) {
	to, err := target.Parse(address)
	if err != nil {
		return nil, err
	}
	scheme, _, _ := strings.Cut(address, ":")
	list := manual.NewBuilderWithScheme(scheme)
	var state resolver.State
	for _, a := range to.Addresses {
		one := resolver.Address{Addr: a.Address}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{one}})
	}
	list.InitialState(state)
	return []grpc.DialOption{grpc.WithResolvers(list), grpc.WithAuthority(to.Authority)}, nil
}
