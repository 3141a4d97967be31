// Command rejection rejects requests with an own interceptor. The caller receives the reason and
// the fields that are wrong.
package main

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
)

// rejectNameless reads the request before the handler does. It runs for methods with one
// request.
func rejectNameless(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	req, err := call.Read(ctx)
	if err != nil {
		return err
	}
	if req.(*greeterpb.HelloRequest).GetName() != "" {
		return next(ctx, call)
	}
	rejection := hauberk.Reject(codes.InvalidArgument, "EMPTY_NAME", "the name is empty")
	rejection.FieldViolations = []hauberk.FieldViolation{{Field: "name", Description: "must not be empty"}}
	return rejection
}

func main() {
	server := greeter.Serve(&greeter.Service{}, hauberk.For(
		"hauberk.examples.greeter.v1.Greeter/Greet", hauberk.Named("not_empty", hauberk.Func(rejectNameless))))
	client := server.Client()
	for _, name := range []string{"ann", ""} {
		reply, err := client.Greet(context.Background(), &greeterpb.HelloRequest{Name: name})
		fmt.Printf("%q: %s %s\n", name, reply.GetText(), greeter.Outcome(err))
		for _, detail := range status.Convert(err).Details() {
			if bad, ok := detail.(*errdetails.BadRequest); ok {
				fmt.Println("  ", bad.GetFieldViolations()[0].GetField(), bad.GetFieldViolations()[0].GetDescription())
			}
		}
	}
	server.Stop()
}
