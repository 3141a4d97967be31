package field_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// serve serves a call whose request has a text.
func serve(chain *hauberk.Chain, text string) error {
	return hauberktest.Direct{Decode: func(msg any) error {
		if req, ok := msg.(*testpb.Request); ok {
			req.Text = text
		}
		return nil
	}}.Server(chain)(context.Background())
}

// stream serves a call that sends its texts through the chain of a client.
func stream(chain *hauberk.Chain, texts []string) error {
	client := testpb.NewTestServiceClient(chain.ClientConn(hauberktest.Conn{}))
	calls, err := client.Bidi(context.Background())
	if err != nil {
		return err
	}
	for _, text := range texts {
		if err := calls.Send(&testpb.Request{Text: text}); err != nil {
			return err
		}
	}
	return calls.CloseSend()
}

// A limit by a field. Calls without a value are counted by their peer.
func Example() {
	project := field.String("text") // or "repository.storage_name"
	chain := hauberk.Must(hauberk.New(
		ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Minute, By: project.Key()}),
	)) // in a program: chain.NewServer()
	for _, text := range []string{"shop", "bank", "shop"} {
		fmt.Println(text, hauberk.CodeOf(serve(chain, text)) == codes.OK)
	}
	// Output:
	// shop true
	// bank true
	// shop false
}

// The value of a field in the state of the call, for limits, logs and handlers.
func ExampleSet() {
	projectKey := hauberk.NewKey[string]("project")
	chain := hauberk.Must(hauberk.New(
		field.Set(projectKey, field.String("text")),
		ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Minute, By: callkey.State(projectKey)}),
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			fmt.Println("the project is", projectKey.Or(ctx, "unknown"))
			return next(ctx, call)
		}),
	))
	fmt.Println(serve(chain, "shop"))
	err := serve(chain, "")
	fmt.Println(hauberk.CodeOf(err), hauberk.Reason(err), err)
	// Output:
	// the project is shop
	// <nil>
	// InvalidArgument REQUEST_FIELD_MISSING rpc error: code = InvalidArgument desc = The field text of the request is required
}

// A program checks the paths of its clients in a test. Servers check them when they begin to serve.
func ExampleField_Check() {
	service := testpb.File_hauberktest_testpb_test_proto.Services().ByName("TestService")
	fmt.Println(field.String("text").Check(service))
	fmt.Println(field.String("txt").Check(service))
	// Output:
	// <nil>
	// field: no request has the field: hauberk.test.v1.TestService/Unary: the path "txt": there is no field txt in hauberk.test.v1.Request, which has text
}

// Each message of a stream takes from the quota of the project that it names.
func ExampleField_PerMessage() {
	chain := hauberk.Must(hauberk.New(ratelimit.New(ratelimit.Config{
		Limit: 2, Per: time.Minute,
		By:   field.String("text").PerMessage().Key(),
		Cost: ratelimit.Cost{Message: 1},
	})))
	texts := []string{"shop", "bank", "shop", "shop"}
	err := stream(chain, texts)
	fmt.Println(hauberk.CodeOf(err), hauberk.Reason(err))
	fmt.Println(stream(chain, []string{"bank"}))
	// Output:
	// ResourceExhausted RATE_LIMITED
	// <nil>
}

// The tenant of the request becomes that of the caller's identity.
func ExampleTenant() {
	login := hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: "alice", Tenant: "shop"})
		return next(ctx, call)
	}), hauberk.Declaration{Writes: []hauberk.StateKey{hauberk.IdentityKey}, Authenticates: true})
	chain := hauberk.Must(hauberk.New(login, field.Tenant(field.String("text")))) // in a program: authn.New
	fmt.Println(serve(chain, "shop"))
	fmt.Println(hauberk.Reason(serve(chain, "bank")))
	// Output:
	// <nil>
	// TENANT_MISMATCH
}
