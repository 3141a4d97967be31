package hauberk_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// endlessStream is a stream of an interceptor of grpc-go, of which one operation fails with an endless error.
type endlessStream struct {
	grpc.ClientStream

	op string
}

func (s endlessStream) SendMsg(msg any) error {
	if s.op == "send" {
		return new(ownError)
	}
	return s.ClientStream.SendMsg(msg)
}

func (s endlessStream) RecvMsg(msg any) error {
	if s.op == "receive" {
		return new(ownError)
	}
	return s.ClientStream.RecvMsg(msg)
}

func (s endlessStream) CloseSend() error {
	if s.op == "close" {
		return new(ownError)
	}
	return s.ClientStream.CloseSend()
}

// An error that wraps itself, of an interceptor of grpc-go inside the chain of a client, ends the call with UNKNOWN: of
// one in the chain, and of one that the connection has.
func TestEndlessErrorInsideClients(t *testing.T) {
	pass := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })
	for _, op := range []string{"open", "send", "receive", "close"} {
		unary := func(
			context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption,
		) error {
			return new(ownError)
		}
		stream := func(
			ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer,
			opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			if op == "open" {
				return nil, new(ownError)
			}
			s, err := streamer(ctx, desc, cc, method, opts...)
			return endlessStream{s, op}, err
		}
		for place, setup := range map[string]hauberktest.Setup{
			"chain": {Client: hauberk.Must(hauberk.New(hauberk.FromClient(unary, stream)))},
			"connection": {
				Client: hauberk.Must(hauberk.New(pass)),
				DialOptions: []grpc.DialOption{
					grpc.WithChainUnaryInterceptor(unary), grpc.WithChainStreamInterceptor(stream),
				},
			},
		} {
			for _, kind := range []hauberk.Kind{
				hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi,
			} {
				t.Run(op+"/"+place+"/"+kind.String(), func(t *testing.T) {
					hauberktest.CheckLeaks(t)
					setup.Kind = kind
					err := hauberktest.Start(t, setup).Call(t.Context(), "a").Err
					if status.Code(err) != codes.Unknown || !errors.Is(err, hauberk.ErrEndless) {
						t.Errorf("%v; want UNKNOWN and ErrEndless", err)
					}
				})
			}
		}
	}
}
