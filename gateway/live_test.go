package gateway_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// A gateway runs the current chain of a Live. A stream keeps the chain that it began with.
func TestLive(t *testing.T) {
	for _, transport := range []gateway.Transport{gateway.TransportGRPC, gateway.TransportFrames} {
		t.Run(string(transport), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			live := hauberk.NewLive(hauberk.Must(hauberk.New()))
			conn := dial(t, front(t, gateway.Config{
				Upstream: serve(t, &hauberktest.Backend{}), Live: live, Transport: transport,
			}))
			client := testpb.NewTestServiceClient(conn)
			stream, err := client.Bidi(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			echo := func() {
				t.Helper()
				if err := stream.Send(&testpb.Request{Text: "hello"}); err != nil {
					t.Fatal(err)
				}
				if _, err := stream.Recv(); err != nil {
					t.Fatal(err)
				}
			}
			echo()
			closed := func(context.Context, *hauberk.Call, hauberk.Next) error {
				return status.Error(codes.FailedPrecondition, "closed")
			}
			if err := live.Swap(hauberk.Must(hauberk.New(hauberk.Func(closed)))); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Unary(t.Context(), &testpb.Request{}); status.Code(err) != codes.FailedPrecondition {
				t.Errorf("%v; want the rejection of the new chain", err)
			}
			echo()
			_ = stream.CloseSend()
			_, _ = stream.Recv()
		})
	}
}
