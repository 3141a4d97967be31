package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/authz"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	hauberkauthz "github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// environmentKey is the metadata key that the rules of this file are about.
const environmentKey = "x-env"

// environments returns the 20 values that a policy allows. The last one is that of the call.
func environments() []string {
	names := make([]string, 0, 20)
	for i := range 19 {
		names = append(names, fmt.Sprint("env-", i))
	}
	return append(names, "prod")
}

// grpcPolicy is a policy of grpc-go with a rule for each environment.
func grpcPolicy() string {
	rules := make([]string, 0, 20)
	for _, name := range environments() {
		rules = append(rules, fmt.Sprintf(`{"name": %q, "request": {
			"paths": ["/hauberk.test.v1.TestService/*"], "headers": [{"key": %q, "values": [%q]}]
		}}`, name, environmentKey, name))
	}
	return `{"name": "bench", "allow_rules": [` + strings.Join(rules, ",") + `]}`
}

// newAuthz has the same policy.
func newAuthz() *hauberkauthz.Interceptor {
	policy, err := hauberkauthz.ParseGRPC([]byte(grpcPolicy()))
	if err != nil {
		panic(err)
	}
	return hauberkauthz.New(hauberkauthz.Config{Policy: policy})
}

// grpcAuthz is grpc-go's interceptor with the same policy.
func grpcAuthz() grpc.UnaryServerInterceptor {
	static, err := authz.NewStatic(grpcPolicy())
	if err != nil {
		panic(err)
	}
	return static.UnaryInterceptor
}

// authorizeByHand allows what the policy allows, as a program without a package for it does.
func authorizeByHand(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	for _, value := range metadata.ValueFromIncomingContext(ctx, environmentKey) {
		switch value {
		case "prod", "env-0", "env-1", "env-2", "env-3", "env-4", "env-5", "env-6", "env-7", "env-8", "env-9",
			"env-10", "env-11", "env-12", "env-13", "env-14", "env-15", "env-16", "env-17", "env-18":
			return handler(ctx, req)
		}
	}
	return nil, status.Error(codes.PermissionDenied, "not allowed")
}

// authzContest compares 20 rules about a metadata key, of which the last one allows the call,
// with grpc-go's engine and with a switch. Each side is compared with an idle interceptor in
// its own chain.
func authzContest() contest {
	const own, rival, byHand = "Hauberk, authz", "grpc-go, authz", "a switch by hand"
	grpcVariant := func(i grpc.UnaryServerInterceptor) func() func() error {
		return func() func() error { return serverUnaryIn(servedContext, nil, i) }
	}
	ownVariant := func(i ...hauberk.Interceptor) func() func() error {
		return func() func() error { return serverUnaryIn(servedContext, chainOf(i...), nil) }
	}
	return contest{
		name: "20 rules about metadata, unary call on a server",
		variants: []variant{
			{oneIdle, ownVariant(idleInterceptors(1)...)},
			{own, ownVariant(newAuthz())},
			{grpcIdle, grpcVariant(idleUnary)},
			{rival, grpcVariant(grpcAuthz())},
			{byHand, grpcVariant(authorizeByHand)},
		},
		// One allocation is the copy of the metadata's values.
		budgets: map[string]budget{own: {ns: 1000, allocs: 1}},
		bases:   map[string]string{grpcIdle: grpcIdle, rival: grpcIdle, byHand: grpcIdle},
	}
}

// servedContext returns the context of a real call, since grpc-go's engine asks it for the
// connection.
func servedContext() (context.Context, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	service := new(contextService)
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, service)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		ctx := metadata.AppendToOutgoingContext(context.Background(), environmentKey, "prod")
		_, err = testpb.NewTestServiceClient(conn).Unary(ctx, &testpb.Request{})
		_ = conn.Close()
	}
	server.Stop()
	if failed := <-served; err == nil {
		err = failed
	}
	return service.ctx, err
}

// contextService keeps the context of its call.
type contextService struct {
	testpb.UnimplementedTestServiceServer

	ctx context.Context //nolint:containedctx // what is wanted
}

func (s *contextService) Unary(ctx context.Context, _ *testpb.Request) (*testpb.Response, error) {
	s.ctx = valuesOf{context.Background(), ctx}
	return fixed, nil
}

// valuesOf is a context with the values of another one, whose call has ended. Unlike
// [context.WithoutCancel] it allocates nothing when it is asked.
type valuesOf struct {
	context.Context //nolint:containedctx // see above

	other context.Context //nolint:containedctx // see above
}

func (c valuesOf) Value(key any) any { return c.other.Value(key) }
