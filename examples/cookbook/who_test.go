package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/interceptors/version"
)

// greet makes a unary call and returns what came of it.
func greet(ctx context.Context, client greeterpb.GreeterClient, name string) string {
	reply, err := client.Greet(ctx, &greeterpb.HelloRequest{Name: name})
	if err != nil {
		return greeter.Outcome(err)
	}
	return reply.GetText()
}

// with returns a context whose calls have metadata.
func with(pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), pairs...)
}

// Who calls is known for every kind of call. The methods of Config.Public need no token.
var tokens = authn.New(authn.Config{}, authn.Bearer(
	func(_ context.Context, token string) (*authn.Identity, error) {
		user, ok := strings.CutPrefix(token, "token-of-") // your lookup; see authnjwt for JWTs
		if !ok {
			return nil, errors.New("no such token")
		}
		return &authn.Identity{Subject: user, Roles: []string{"guest"}}, nil
	}))

func Example_authenticate() {
	server := greeter.Serve(&greeter.Service{}, tokens)
	client := server.Client()
	fmt.Println(greet(with(), client, "Ada"))
	fmt.Println(greet(with("authorization", "Bearer token-of-ada"), client, "Ada"))
	server.Stop()
	// Output:
	// Unauthenticated "Missing or invalid token" MISSING_TOKEN
	// Hello, Ada
}

// What no rule allows is denied.
var rules = authz.New(authz.Config{Policy: authz.Policy{
	Allow: []authz.Rule{
		{Name: "guests greet", Methods: []string{"hauberk.examples.greeter.v1.Greeter/Greet"}, Roles: []string{"guest"}},
	},
}})

func Example_authorize() {
	server := greeter.Serve(&greeter.Service{}, tokens, rules)
	client := server.Client()
	ada := with("authorization", "Bearer token-of-ada")
	fmt.Println(greet(ada, client, "Ada"))
	_, err := greeter.Call(ada, client, hauberk.Bidi, "Ada")
	fmt.Println(greeter.Outcome(err))
	server.Stop()
	// Output:
	// Hello, Ada
	// PermissionDenied "Permission denied" ACCESS_DENIED
}

// Tenant is typed state: inner interceptors, handlers and log records read it.
var Tenant = hauberk.NewKey[string]("tenant")

// tenants takes the tenant from the metadata that the gateway writes.
func tenants(known ...string) hauberk.Interceptor {
	intercept := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		values := call.Metadata(ctx, "x-tenant")
		if len(values) != 1 || !slices.Contains(known, values[0]) {
			return hauberk.Reject(codes.InvalidArgument, "TENANT_UNKNOWN", "x-tenant must name one tenant")
		}
		Tenant.Set(call, values[0])
		return next(ctx, call)
	}
	return hauberk.Named("tenants", hauberk.Declare(hauberk.Func(intercept),
		hauberk.Declaration{Writes: []hauberk.StateKey{Tenant}}))
}

func Example_tenant() {
	service := &greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		return s.Send(&greeterpb.HelloReply{Text: "a shop of " + Tenant.Or(ctx, "no tenant")})
	}}
	server := greeter.Serve(service, tenants("acme"))
	client := server.Client()
	fmt.Println(greet(with("x-tenant", "acme"), client, "Ada"))
	fmt.Println(greet(with("x-tenant", "acme", "x-tenant", "umbra"), client, "Ada"))
	server.Stop()
	// Output:
	// a shop of acme
	// InvalidArgument "x-tenant must name one tenant" TENANT_UNKNOWN
}

// The rejection of a client that is too old says what to install.
var oldest = version.New(version.Config{
	Metadata: "x-client",
	Rules:    []version.Rule{{Client: "shopctl", Versions: ">=2.1", Upgrade: "shopctl 2.1 or later"}},
})

func Example_version() {
	server := greeter.Serve(&greeter.Service{}, oldest)
	client := server.Client()
	fmt.Println(greet(with("x-client", "shopctl/2.4.0"), client, "Ada"))
	fmt.Println(greet(with("x-client", "shopctl/1.9.3"), client, "Ada"))
	server.Stop()
	// Output:
	// Hello, Ada
	// FailedPrecondition "Version 1.9.3 of shopctl is not supported; upgrade to shopctl 2.1 or later" CLIENT_VERSION_UNSUPPORTED
}

// reachable guards a client: only these services may be called through its connections.
func reachable(services ...string) hauberk.Interceptor {
	return hauberk.Named("reachable", hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			for _, service := range services {
				if call.Method().Service() == service {
					return next(ctx, call)
				}
			}
			return hauberk.Reject(codes.PermissionDenied, "DESTINATION_FORBIDDEN",
				"this process may not call "+call.Method().Service())
		}))
}

func Example_destination() {
	server := greeter.Serve(&greeter.Service{})
	fmt.Println(greet(with(), server.Client(reachable("hauberk.examples.greeter.v1.Greeter")), "Ada"))
	fmt.Println(greet(with(), server.Client(reachable("shop.v1.Cart")), "Ada"))
	server.Stop()
	// Output:
	// Hello, Ada
	// PermissionDenied "this process may not call hauberk.examples.greeter.v1.Greeter" DESTINATION_FORBIDDEN
}
