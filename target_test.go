package hauberk_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestTarget asks chains of which some serve several connections, in turn.
func TestTarget(t *testing.T) {
	seen := make(chan string, 1)
	chain := hauberk.Must(hauberk.New(hauberk.Func(
		func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			seen <- call.Target()
			return call.Reply(&testpb.Response{})
		})))
	call := func(conn grpc.ClientConnInterface, want string) {
		t.Helper()
		if err := conn.Invoke(t.Context(), "/a.B/C", &testpb.Request{}, &testpb.Response{}); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != want {
			t.Errorf("the target is %q, want %q", got, want)
		}
	}
	dial := func(target string) *grpc.ClientConn {
		t.Helper()
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	plain, exact := dial("localhost:50051"), dial("passthrough:///shop")
	for range 2 {
		call(chain.ClientConn(plain), "dns:///localhost:50051")
		call(chain.ClientConn(exact), "passthrough:///shop")
	}
	call(chain.ClientConn(answering{}), "")
	srv := hauberktest.Start(t, hauberktest.Setup{Server: chain})
	srv.Call(t.Context())
	if got := <-seen; got != "" {
		t.Errorf("a server's target is %q", got)
	}
}

// answering is a connection that is not grpc-go's.
type answering struct{ grpc.ClientConnInterface }
