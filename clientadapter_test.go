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

// The tests of this file are about interceptors of grpc-go on a client: what they are
// given, and what they pass on, is as on bare grpc-go.

// replying is a backend that answers each call with one text.
func replying(text string) *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		return s.Send(response(text))
	}}
}

// exchange makes a call of any kind with one request, and returns the first response.
func exchange(t *testing.T, conn grpc.ClientConnInterface, kind hauberk.Kind, opts ...grpc.CallOption) (string, error) {
	t.Helper()
	resp := new(testpb.Response)
	if kind == hauberk.Unary {
		err := conn.Invoke(patient(t), hauberktest.FullMethod(kind), message("a"), resp, opts...)
		return resp.GetText(), err
	}
	stream := start(patient(t), t, conn, kind, opts...)
	_ = stream.SendMsg(message("a"))
	_ = stream.CloseSend()
	err := stream.RecvMsg(resp)
	return resp.GetText(), err
}

// routing is a pair of interceptors of grpc-go that send calls to another connection; nil
// stands for none. They record the connection that they are given.
func routing(to *grpc.ClientConn, given *[]*grpc.ClientConn) hauberk.Interceptor {
	return hauberk.FromClient(
		func(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			*given = append(*given, cc)
			return invoke(ctx, method, req, resp, to, opts...)
		},
		func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			*given = append(*given, cc)
			return open(ctx, desc, to, method, opts...)
		})
}

// TestConnectionOfAnAdapter: a call goes to the connection that an interceptor of grpc-go
// passes on, inner ones are given that one, and Target returns its target, however the
// chain is attached. nil stands for the connection of the call.
func TestConnectionOfAnAdapter(t *testing.T) {
	for name, attach := range map[string]func(t *testing.T, c *hauberk.Chain) (conn grpc.ClientConnInterface, own *grpc.ClientConn){
		"DialOptions": func(t *testing.T, c *hauberk.Chain) (grpc.ClientConnInterface, *grpc.ClientConn) {
			cc := bare(t, replying("own"), c.DialOptions()...)
			return cc, cc
		},
		"ClientConn": func(t *testing.T, c *hauberk.Chain) (grpc.ClientConnInterface, *grpc.ClientConn) {
			cc := bare(t, replying("own"))
			return c.ClientConn(cc), cc
		},
		"ClientConn of ClientConn": func(t *testing.T, c *hauberk.Chain) (grpc.ClientConnInterface, *grpc.ClientConn) {
			cc := bare(t, replying("own"))
			return c.ClientConn(idleChain(1).ClientConn(cc)), cc
		},
		"ClientConn of another type": func(t *testing.T, c *hauberk.Chain) (grpc.ClientConnInterface, *grpc.ClientConn) {
			return c.ClientConn(answering{bare(t, replying("own"))}), nil
		},
	} {
		for _, kind := range allKinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				other := bare(t, replying("other"))
				for want, to := range map[string]*grpc.ClientConn{"own": nil, "other": other} {
					var given []*grpc.ClientConn
					target := ""
					seen := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						target = call.Target()
						return next(ctx, call)
					})
					conn, own := attach(t, hauberk.Must(hauberk.New(routing(to, &given), seen, routing(nil, &given))))
					text, err := exchange(t, conn, kind)
					wantCode(t, err, codes.OK)
					inner := own
					if to != nil {
						inner = to
					}
					if text != want || len(given) != 2 || given[0] != own || given[1] != inner {
						t.Errorf("%q answered, want %q; the interceptors were given %v", text, want, given)
					}
					if inner != nil && target != inner.CanonicalTarget() || inner == nil && target != "" {
						t.Errorf("Target is %q", target)
					}
				}
			})
		}
	}
}
