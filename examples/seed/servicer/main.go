// Command servicer is the page's MyServiceServicer: a service that reads the state
// that interceptors have set for the call.
package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/seed/internal/stage"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// Tenant is state of one's own: what ContextVar('tenant') is on the page, with a type.
// Every call starts without it.
var Tenant = hauberk.NewKey[string]("tenant")

// setTenant is the interceptor that sets it.
func setTenant(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if tenant := call.Metadata(ctx, "x-tenant"); len(tenant) == 1 {
		Tenant.Set(call, tenant[0])
	}
	return next(ctx, call)
}

// myService is the service.
type myService struct {
	testpb.UnimplementedTestServiceServer
}

// Unary is the page's MyMethod.
func (myService) Unary(ctx context.Context, _ *testpb.Request) (*testpb.Response, error) {
	user := authn.User.Or(ctx, "anonymous")
	fmt.Printf("  [%s] processing request for user %s of %s\n",
		requestid.FromContext(ctx), user, Tenant.Or(ctx, "no one"))
	return &testpb.Response{Text: "Hello " + user}, nil
}

// ServerStream reads the same state on a goroutine of its own. A thread that a Python
// handler starts has lost it (B38); here it is where ctx is.
func (myService) ServerStream(_ *testpb.Request, stream grpc.ServerStreamingServer[testpb.Response]) error {
	ctx := stream.Context()
	greeting := make(chan string, 1)
	go func() { greeting <- "Goodbye " + authn.User.Or(ctx, "anonymous") }()
	return stream.Send(&testpb.Response{Text: <-greeting})
}

func main() {
	server := stage.Serve(myService{},
		requestid.New(requestid.Config{}),
		authn.New(validate, authn.Config{}),
		hauberk.Func(setTenant),
	)
	client := server.Client()
	for _, user := range []string{"alice", "bob"} {
		ctx := metadata.AppendToOutgoingContext(context.Background(),
			"authorization", "Bearer "+user, requestid.DefaultHeader, "for-"+user, "x-tenant", user+" & sons")
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			got, err := stage.Call(ctx, client, kind, "hello?")
			stage.Check(err)
			fmt.Printf("%s: %q\n", kind, got)
		}
	}
	server.Stop()
}

// validate takes every token for the name of a user.
func validate(_ context.Context, token string) (*authn.Identity, error) {
	return &authn.Identity{Subject: token}, nil
}
