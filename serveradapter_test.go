package hauberk_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file are about interceptors of grpc-go on a server: what they are
// given, and what they pass on, is as on bare grpc-go.

// TestServiceOfAnAdapter: behind every carrier a unary interceptor is given the
// implementation of the service, and the handler of a stream gets the implementation that
// a stream interceptor passes on.
func TestServiceOfAnAdapter(t *testing.T) {
	named := func(name string) *hauberktest.Backend {
		return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			return s.Send(response(name))
		}}
	}
	matrixOf(t, func(t *testing.T, c carrier, kind hauberk.Kind) {
		own, other := named("own"), named("other")
		var given []any
		adapter := func() hauberk.Interceptor {
			return hauberk.FromServer(
				func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
					given = append(given, info.Server)
					return handler(ctx, req)
				},
				func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
					given = append(given, srv)
					return handler(other, stream)
				})
		}
		conn, _ := carry(t, c, hauberk.Must(hauberk.New(adapter(), hauberk.Func(idle), adapter())), own)
		stream := start(patient(t), t, conn, kind)
		_ = stream.SendMsg(message("a"))
		_ = stream.CloseSend()
		resp := new(testpb.Response)
		wantCode(t, stream.RecvMsg(resp), codes.OK)
		wantText, second := "own", own
		if kind != hauberk.Unary {
			wantText, second = "other", other
		}
		if resp.GetText() != wantText || len(given) != 2 || given[0] != own || given[1] != second {
			t.Errorf("%q answered; the interceptors were given %v", resp.GetText(), given)
		}
	})
}
