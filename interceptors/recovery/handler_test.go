package recovery_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// A typed nil is an empty message, as in grpc-go, and so is a nil response. Neither is a
// panic.
func TestNilReply(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		x := recovery.New(recovery.Config{}, recovery.WithLogger(new(journal).logger()))
		env := c.StartWith(t, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			return s.Send(nil)
		}}, x)
		out := env.Call(t.Context())
		if out.Err != nil || fmt.Sprintf("%q", out.Texts()) != `[""]` || x.Panics() != 0 {
			t.Errorf("responses %q, error %v, %d panics; want one empty response", out.Texts(), out.Err, x.Panics())
		}
	})
	x := recovery.New(recovery.Config{}, recovery.WithLogger(new(journal).logger()))
	serve := hauberk.Must(hauberk.New(x)).UnaryServerInterceptor()
	_, err := serve(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(context.Context, any) (any, error) {
		return nil, nil
	})
	if err != nil || x.Panics() != 0 {
		t.Errorf("no response: error %v, %d panics; want none", err, x.Panics())
	}
}

// If the codec panics in SendMsg, the stream ends.
func TestCodecPanics(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			x := recovery.New(recovery.Config{}, recovery.WithLogger(new(journal).logger()))
			env := hauberktest.Start(t, hauberktest.Setup{
				Server:        hauberk.Must(hauberk.New(x)),
				ServerOptions: []grpc.ServerOption{grpc.ForceServerCodecV2(badCodec{encoding.GetCodecV2("proto")})},
				Kind:          kind,
			})
			c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
			checkFixed(t, c, env.Call(t.Context()), recovery.ErrPanic)
			env.Server.GracefulStop()
			if got := x.Panics(); got != 1 {
				t.Errorf("%d panics counted, want 1", got)
			}
		})
	}
}

type badCodec struct{ encoding.CodecV2 }

func (badCodec) Marshal(any) (mem.BufferSlice, error) { panic(secret) }

// A hook may run on a goroutine of the handler that sends.
func TestHookOnAnotherGoroutine(t *testing.T) {
	hauberktest.CheckLeaks(t)
	x := recovery.New(recovery.Config{}, recovery.WithLogger(new(journal).logger()))
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
	env := c.StartWith(t, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		sent := make(chan error)
		go func() { sent <- s.Send(&testpb.Response{}) }()
		return <-sent
	}}, x, onSend(func() { panic(secret) }))
	checkFixed(t, c, env.Call(t.Context()), recovery.ErrPanic)
	env.Server.GracefulStop()
	if got := x.Panics(); got != 1 {
		t.Errorf("%d panics counted, want 1", got)
	}
}

// Concurrent panics are all counted.
func TestConcurrentPanics(t *testing.T) {
	hauberktest.CheckLeaks(t)
	x := recovery.New(recovery.Config{}, recovery.WithLogger(new(journal).logger()))
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	env := c.StartWith(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		panic(secret)
	}}, x)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if got := status.Code(env.Call(t.Context()).Err); got != codes.Internal {
					t.Errorf("code %s, want Internal", got)
				}
			}
		})
	}
	wg.Wait()
	if got := x.Panics(); got != 80 {
		t.Errorf("%d panics counted, want 80", got)
	}
}
