// Command state shows a service that reads the state that interceptors set for the call.
package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// Tenant is the key of own state. Every call starts without it.
var Tenant = hauberk.NewKey[string]("tenant")

// setTenant is an interceptor that sets it.
func setTenant(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if tenant := call.Metadata(ctx, "x-tenant"); len(tenant) == 1 {
		Tenant.Set(call, tenant[0])
	}
	return next(ctx, call)
}

// myService is the service.
type myService struct {
	greeterpb.UnimplementedGreeterServer
}

// Greet reads the user and the tenant.
func (myService) Greet(ctx context.Context, _ *greeterpb.HelloRequest) (*greeterpb.HelloReply, error) {
	user := authn.User.Or(ctx, "anonymous")
	fmt.Printf("  [%s] processing request for user %s of %s\n",
		requestid.FromContext(ctx), user, Tenant.Or(ctx, "no one"))
	return &greeterpb.HelloReply{Text: "Hello " + user}, nil
}

// GreetOften reads the same state on another goroutine, from the context.
func (myService) GreetOften(_ *greeterpb.HelloRequest, stream grpc.ServerStreamingServer[greeterpb.HelloReply]) error {
	ctx := stream.Context()
	greeting := make(chan string, 1)
	go func() { greeting <- "Goodbye " + authn.User.Or(ctx, "anonymous") }()
	return stream.Send(&greeterpb.HelloReply{Text: <-greeting})
}

func main() {
	server := greeter.Serve(myService{},
		requestid.New(requestid.Config{}),
		authn.New(authn.Config{}, authn.Bearer(validate)),
		hauberk.Func(setTenant),
	)
	client := server.Client()
	for _, user := range []string{"alice", "bob"} {
		ctx := metadata.AppendToOutgoingContext(context.Background(),
			"authorization", "Bearer "+user, requestid.DefaultHeader, "for-"+user, "x-tenant", user+" & sons")
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			got, err := greeter.Call(ctx, client, kind, "hello?")
			greeter.Check(err)
			fmt.Printf("%s: %q\n", kind, got)
		}
	}
	server.Stop()
}

// validate uses the token as the name of the user.
func validate(_ context.Context, token string) (*authn.Identity, error) {
	return &authn.Identity{Subject: token}, nil
}
