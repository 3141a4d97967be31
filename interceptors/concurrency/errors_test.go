package concurrency_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// The adaptive limit falls if handlers return RESOURCE_EXHAUSTED or UNAVAILABLE. Messages that are too large for one
// of the two sides do not lower it.
func TestAdaptiveErrors(t *testing.T) {
	const size = 1000
	big := strings.Repeat("x", 2*size)
	answer := func(text string) *hauberktest.Backend {
		return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			return s.Send(&testpb.Response{Text: text})
		}}
	}
	fails := func(code codes.Code) *hauberktest.Backend {
		return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			_, _ = s.Recv()
			return status.Error(code, "busy")
		}}
	}
	type setup struct {
		name    string
		backend *hauberktest.Backend
		text    string
		server  []grpc.ServerOption
		client  []grpc.CallOption
		falls   bool
	}
	for _, s := range []setup{
		{name: "the handler is busy", backend: fails(codes.ResourceExhausted), falls: true},
		{name: "the handler is down", backend: fails(codes.Unavailable), falls: true},
		{name: "a large request", text: big, server: []grpc.ServerOption{grpc.MaxRecvMsgSize(size)}},
		{name: "a large response", backend: answer(big), server: []grpc.ServerOption{grpc.MaxSendMsgSize(size)}},
		{name: "a large request for the client", text: big, client: []grpc.CallOption{grpc.MaxCallSendMsgSize(size)}},
		{name: "a large response for the client", backend: answer(big), client: []grpc.CallOption{grpc.MaxCallRecvMsgSize(size)}},
	} {
		t.Run(s.name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				clock := hauberktest.NewClock()
				x := concurrency.New(concurrency.Config{
					Adaptive: &concurrency.Adaptive{Initial: 100, Window: time.Millisecond}, Streams: concurrency.ForMessages,
				}, concurrency.WithClock(clock.Now))
				setup := hauberktest.Setup{
					Backend: s.backend, Kind: c.Kind, ServerOptions: s.server,
					DialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(s.client...)},
				}
				if c.Side == hauberk.ServerSide {
					setup.Server = chainOf(t, x)
				} else {
					setup.Client = chainOf(t, x)
				}
				env := hauberktest.Start(t, setup)
				failed := 0
				for range 100 {
					if env.Call(t.Context(), s.text).Err != nil {
						failed++
					}
					wantIdle(t, x)
					clock.Advance(10 * time.Millisecond)
				}
				if limit := x.Limits()[0].Limit; (limit < 100) != s.falls {
					t.Errorf("the limit is %d after %d of 100 calls failed", limit, failed)
				}
			})
		})
	}
}

// A handler whose client has left ends with UNAVAILABLE, for example because it cannot send. That does not lower the
// limit.
func TestAdaptiveClientsLeave(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		clock := hauberktest.NewClock()
		x := concurrency.New(concurrency.Config{
			Adaptive: &concurrency.Adaptive{Initial: 100, Window: time.Millisecond},
		}, concurrency.WithClock(clock.Now))
		var cancel context.CancelFunc
		call := serve(t, hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			if leaves {
				cancel()
			}
			return status.Error(codes.Unavailable, "transport is closing")
		}), x)
		for range 100 {
			var ctx context.Context
			ctx, cancel = context.WithCancel(t.Context())
			wantCode(t, call(ctx), codes.Unavailable)
			cancel()
			clock.Advance(10 * time.Millisecond)
		}
		if limit := x.Limits()[0].Limit; (limit == 100) != leaves {
			t.Errorf("the limit is %d, clients leave: %t", limit, leaves)
		}
	}
}
