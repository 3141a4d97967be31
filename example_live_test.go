package hauberk_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// closed rejects all calls.
func closed(context.Context, *hauberk.Call, hauberk.Next) error {
	return hauberk.Reject(codes.Unavailable, "MAINTENANCE", "The shop is closed")
}

// A stream that is open keeps its chain. Calls that begin later run the new one.
func ExampleLive() {
	live := hauberk.NewLive(hauberk.Must(hauberk.New()))
	client, stop := serveLive(live)
	defer stop()

	stream, _ := client.ServerStream(context.Background(), &testpb.Request{Text: "Ann"})
	first, _ := stream.Recv()
	fmt.Println(first.GetText())

	if err := live.Swap(hauberk.Must(hauberk.New(hauberk.Func(closed)))); err != nil {
		fmt.Println(err)
	}
	_, err := client.Unary(context.Background(), &testpb.Request{Text: "Ben"})
	fmt.Println(status.Convert(err).Message())
	second, _ := stream.Recv()
	fmt.Println(second.GetText())

	err = live.Swap(nil) // for example the chain of a New whose error no one has looked at
	fmt.Println(err)
	// Output:
	// hello Ann
	// The shop is closed
	// hello Ann
	// hauberk: the chain of a Live is nil or zero; make chains with hauberk.New, and look at its error
}
