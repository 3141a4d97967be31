package authz_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// called makes calls as alice, a buyer, through a server's chain, without a network.
func called(chain *hauberk.Chain, pairs ...string) error {
	return serve(chain)(request{id: alice, md: md(pairs...)})
}

// Buyers may call the service, except from the test environment.
func Example() {
	chain := hauberk.Must(hauberk.New(login{}, authz.New(authz.Config{Policy: authz.Policy{
		Allow: []authz.Rule{{Name: "buyers", Methods: []string{tests}, Roles: []string{"buyer"}}},
		Deny: []authz.Rule{{
			Name: "test", Methods: []string{"*"}, Metadata: []authz.MetadataMatch{{Key: "x-env", Values: []string{"test*"}}},
		}},
	}})))
	fmt.Println(status.Code(called(chain, "x-env", "prod")))
	fmt.Println(status.Code(called(chain, "x-env", "test-1")))
	fmt.Println(status.Code(called(chain, "x-env", "prod", "x-env", "test")))
	fmt.Println("without the key:", status.Code(called(chain)))
	// Output:
	// OK
	// PermissionDenied
	// PermissionDenied
	// without the key: PermissionDenied
}

// An outer interceptor sees which rule rejected a call. Clients do not.
func Example_decisions() {
	log := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		for _, d := range call.Decisions().Recorded() {
			fmt.Printf("%s: %s by %q\n", d.Interceptor, d.Verdict, d.Rule)
		}
		return err
	})
	chain := hauberk.Must(hauberk.New(log, login{}, authz.New(authz.Config{Policy: authz.Policy{
		Allow: []authz.Rule{{Methods: []string{"*"}}},
		Deny:  []authz.Rule{{Name: "level", Methods: []string{"*"}, When: `identity.claims.level < 5.0`}},
	}})))
	err := called(chain)
	fmt.Println(err, hauberk.Reason(err))
	// Output:
	// authz: rejected by "level"
	// rpc error: code = PermissionDenied desc = Permission denied ACCESS_DENIED
}

// A rule with Request judges the first message of a stream. To judge each message, for instance by
// the tenant of the caller, an inner interceptor registers a hook.
func Example_stream() {
	tenants := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		id, _ := hauberk.IdentityKey.Get(call)
		call.OnReceive(func(msg any) (bool, error) {
			req, ok := msg.(*testpb.Request)
			if !ok || id == nil || id.Tenant == "" || !strings.HasPrefix(req.GetText(), id.Tenant+"/") {
				return false, hauberk.Reject(codes.PermissionDenied, authz.ReasonDenied, "Permission denied")
			}
			return true, nil
		})
		return next(ctx, call)
	})
	chain := hauberk.Must(hauberk.New(login{}, authz.New(authz.Config{Policy: authz.Policy{
		Allow: []authz.Rule{{Methods: []string{tests}, Tenants: []string{"acme"}}},
	}}), tenants))
	texts := []string{"acme/1", "acme/2", "evil/3", "acme/4"}
	err := upload(chain, &hauberk.Identity{Subject: "alice", Tenant: "acme"}, texts, func(text string) { fmt.Println(text) })
	fmt.Println(status.Code(err))
	// Output:
	// acme/1
	// acme/2
	// PermissionDenied
}

// upload calls a method that receives messages, without a network.
func upload(chain *hauberk.Chain, id *hauberk.Identity, texts []string, received func(text string)) error {
	stream := &uploaded{ctx: request{id: id}.context(), texts: texts}
	info := &grpc.StreamServerInfo{FullMethod: "/hauberk.test.v1.TestService/ClientStream", IsClientStream: true}
	return chain.StreamServerInterceptor()(nil, stream, info, func(_ any, stream grpc.ServerStream) error {
		for {
			req := new(testpb.Request)
			if err := stream.RecvMsg(req); err != nil {
				return err
			}
			received(req.GetText())
		}
	})
}

// uploaded is a stream that receives texts.
type uploaded struct {
	grpc.ServerStream

	ctx   context.Context
	texts []string
}

func (u *uploaded) Context() context.Context { return u.ctx }

func (u *uploaded) RecvMsg(msg any) error {
	if len(u.texts) == 0 {
		return io.EOF
	}
	msg.(*testpb.Request).Text, u.texts = u.texts[0], u.texts[1:]
	return nil
}

// Mistakes are reported when the chain is built.
func Example_errors() {
	_, err := hauberk.New(login{}, authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{
		{Name: "admins", Methods: []string{"shop.v1.Admin/*"}, When: `identity.role == "admin"`},
		{Name: "staff", Methods: []string{"shop.v1.*"}, When: `identity.subject.matches("staff")`},
	}}}))
	fmt.Println(err)
	// Output:
	// hauberk: interceptor 2: authz: Policy.Allow[0] "admins": When: 1:9: undefined field 'role'
	// hauberk: interceptor 2: authz: Policy.Allow[1] "staff": When: matches has the pattern "staff", which can match a part of a value; want "^(…)$"
}

// A policy of grpc-go works unchanged.
func ExampleParseGRPC() {
	policy, err := authz.ParseGRPC([]byte(`{
		"name": "shop",
		"allow_rules": [{
			"name": "production",
			"request": {"paths": ["/hauberk.test.*"], "headers": [{"key": "x-env", "values": ["prod"]}]}
		}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	chain := hauberk.Must(hauberk.New(authz.New(authz.Config{Policy: policy})))
	fmt.Println(status.Code(called(chain, "x-env", "prod")))
	fmt.Println(status.Code(called(chain, "x-env", "test")))
	// Output:
	// OK
	// PermissionDenied
}

// The .proto file states who may call the methods. The application overrides it for one of them.
func ExampleWithPolicy() {
	policy, err := hauberk.FromDescriptors(policypb.File_internal_policypb_shop_proto.Services().ByName("Cart"))
	if err != nil {
		fmt.Println(err)
		return
	}
	const cart = "hauberk.policy.test.v1.Cart"
	own := authz.Policy{Allow: []authz.Rule{{Name: "bosses", Methods: []string{cart + "/Refund"}, Roles: []string{"boss"}}}}
	chain := hauberk.Must(hauberk.Config{Policy: policy}.New(
		login{}, authz.New(authz.Config{Policy: own}, authz.WithPolicy(policy))))
	for _, method := range []string{cart + "/Pay", cart + "/Refund"} {
		explanation, err := chain.Explain(method)
		fmt.Printf("%v%v\n", explanation, err)
	}
	// Output:
	// /hauberk.policy.test.v1.Cart/Pay
	//   1  runs     login: for every method
	//   2  runs     authz: for every method
	//               roles buyer, support: option (hauberk.v1.service_policy) of hauberk.policy.test.v1.Cart
	//               scopes cart.pay: option (hauberk.v1.policy) of hauberk.policy.test.v1.Cart/Pay
	// <nil>
	// /hauberk.policy.test.v1.Cart/Refund
	//   1  runs     login: for every method
	//   2  runs     authz: for every method
	//               rules bosses: authz.Config.Policy
	// <nil>
}
