package deadline_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// openIn makes a call that sends one request, without the end of its side if the method streams requests,
// and receives only the end. It returns the error of the call.
func openIn(ctx context.Context, t *testing.T, env *hauberktest.Env, kind hauberk.Kind) error {
	t.Helper()
	stream := begin(ctx, t, env, kind)
	if err := stream.SendMsg(&testpb.Request{Text: "hello"}); err != nil {
		t.Logf("SendMsg: %v", err)
	}
	if !kind.ClientStreams() {
		_ = stream.CloseSend()
	}
	for {
		if err := stream.RecvMsg(new(testpb.Response)); err != nil {
			return err
		}
	}
}

func open(t *testing.T, env *hauberktest.Env, kind hauberk.Kind) error {
	t.Helper()
	return openIn(t.Context(), t, env, kind)
}

// begin opens a call of any kind as a stream and sends nothing yet.
func begin(ctx context.Context, t *testing.T, env *hauberktest.Env, kind hauberk.Kind) grpc.ClientStream {
	t.Helper()
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}
