package hauberk_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// complete makes a call with one request and returns its outcome.
func complete(ctx context.Context, conn grpc.ClientConnInterface, kind hauberk.Kind, opts ...grpc.CallOption) error {
	if kind == hauberk.Unary {
		return conn.Invoke(ctx, hauberktest.FullMethod(kind), message("a"), new(testpb.Response), opts...)
	}
	stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind), opts...)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(message("a"))
	_ = stream.CloseSend()
	if err := drain(stream); err != io.EOF {
		return err
	}
	return nil
}

// TestMetadataOfSeveralCalls: variables of grpc.Header and grpc.Trailer that are used for
// several calls have the metadata of the last call that had a stream of the transport, as
// on bare grpc-go.
func TestMetadataOfSeveralCalls(t *testing.T) {
	var answered atomic.Bool
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		if answered.Swap(true) {
			return status.Error(codes.NotFound, "none")
		}
		s.SetTrailer(metadata.Pairs("x-call", "1"))
		return errors.Join(s.SetHeader(metadata.Pairs("x-call", "1")), s.Send(response("a")))
	}}
	late := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if err == nil || ctx.Err() != nil {
			return err
		}
		done, cancel := context.WithCancel(ctx)
		cancel()
		_ = next(done, call) // an attempt without a stream
		return err
	})
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			for _, w := range append(worlds(t, backend), world{"late attempt", behind(t, backend, late)},
				world{"late attempt inside an adapter", behind(t, backend, adapted(), late)}) {
				answered.Store(false)
				header, trailer := metadata.Pairs("x-call", "0"), metadata.Pairs("x-call", "0")
				call := func(ctx context.Context, code codes.Code, want ...string) {
					err := complete(ctx, w.conn, kind, grpc.Header(&header), grpc.Trailer(&trailer))
					if status.Code(err) != code {
						t.Errorf("%s: %v, want %s", w.name, err, code)
					}
					equal(t, w.name+": header", header.Get("x-call"), want)
					equal(t, w.name+": trailer", trailer.Get("x-call"), want)
				}
				done, cancel := context.WithCancel(patient(t))
				cancel()
				call(done, codes.Canceled, "0")
				call(patient(t), codes.OK, "1")
				call(done, codes.Canceled, "1")
				call(patient(t), codes.NotFound)
			}
		})
	}
}
