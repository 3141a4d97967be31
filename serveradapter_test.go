package hauberk_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"

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

// changing is a stream of a grpc-go interceptor whose context changes with each message,
// as that of one which authenticates by the first message.
type changing struct {
	grpc.ServerStream

	ctx context.Context
}

type messageKey struct{}

func (c *changing) Context() context.Context { return c.ctx }

func (c *changing) RecvMsg(msg any) error {
	err := c.ServerStream.RecvMsg(msg)
	if err == nil {
		c.ctx = context.WithValue(c.ServerStream.Context(), messageKey{}, *textOf(msg))
	}
	return err
}

// TestContextOfAnAdaptersStream: the handler's stream returns the present context of the
// stream that a grpc-go interceptor has passed on, through other adapters too, unless an
// inner interceptor has passed on another context.
func TestContextOfAnAdaptersStream(t *testing.T) {
	changes := hauberk.FromServer(hauberk.PassUnaryServer,
		func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return handler(srv, &changing{stream, stream.Context()})
		})
	passes := hauberk.FromServer(hauberk.PassUnaryServer, hauberk.PassStreamServer)
	derives := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(context.WithValue(ctx, messageKey{}, "derived"), call)
	})
	for name, tc := range map[string]struct {
		chain []hauberk.Interceptor
		want  any
	}{
		"alone":          {[]hauberk.Interceptor{changes}, "a"},
		"around idle":    {[]hauberk.Interceptor{passThrough(), changes, hauberk.Func(idle), passThrough()}, "a"},
		"around another": {[]hauberk.Interceptor{changes, hauberk.Func(idle), passes}, "a"},
		"another after":  {[]hauberk.Interceptor{changes, derives}, "derived"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range streams {
				var got any
				desc := byHand()
				for i := range desc.Streams {
					desc.Streams[i].Handler = func(_ any, stream grpc.ServerStream) error {
						if err := stream.RecvMsg(new(testpb.Request)); err != nil {
							return err
						}
						got = stream.Context().Value(messageKey{})
						return stream.SendMsg(response("done"))
					}
				}
				srv := hauberk.Must(hauberk.New(tc.chain...)).NewServer()
				srv.RegisterService(desc, nil)
				texts, err := echo(patient(t), listenAndServe(t, srv, bufconn.Listen(1<<20)), kind, methodByHand(kind))
				wantCode(t, err, codes.OK)
				equal(t, "responses", texts, []string{"done"})
				if got != tc.want {
					t.Errorf("%s: the context has %v, want %v", kind, got, tc.want)
				}
			}
		})
	}
}
