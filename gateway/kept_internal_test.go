package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// gated is a backend that answers after gate is closed, with a header and a trailer, and counts calls.
func gated(gate <-chan struct{}, calls *atomic.Int32) func(ctx context.Context, s hauberktest.Stream) error {
	return func(ctx context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		calls.Add(1)
		<-gate
		_ = grpc.SetHeader(ctx, metadata.Pairs("h", "1"))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))
		return s.Send(&testpb.Response{Text: "echo:" + req.GetText()})
	}
}

// keepingRun runs a test with each transport, and an interceptor that has kept nothing.
func keepingRun(t *testing.T, b bubble, x func() hauberk.Interceptor, test func(t *testing.T, b *bubble)) {
	t.Helper()
	for _, b.transport = range transports {
		t.Run(string(b.transport), func(t *testing.T) {
			b.interceptors = []hauberk.Interceptor{x()}
			b.runOnce(t, test)
		})
	}
}

// Interceptors that keep the response of a call answer others with it, whose compression may be another one.
func TestKeptResponse(t *testing.T) {
	methods := []string{"*"}
	keeping := map[string]func() hauberk.Interceptor{
		"cache": func() hauberk.Interceptor {
			return cache.New(cache.Config{TTL: time.Hour, Methods: methods, AcrossIdentities: true})
		},
		"coalesce": func() hauberk.Interceptor {
			return coalesce.New(coalesce.Config{Methods: methods, AcrossIdentities: true})
		},
		"idempotency": func() hauberk.Interceptor {
			return idempotency.New(idempotency.Config{}, idempotency.WithStore(idempotency.NewMemory(idempotency.MemoryConfig{})))
		},
	}
	for name, x := range keeping {
		t.Run(name, func(t *testing.T) {
			b := withCodecs(t, newForeign(), newForeign())
			keepingRun(t, b, x, func(t *testing.T, b *bubble) {
				gate, calls := make(chan struct{}), new(atomic.Int32)
				b.backend.Handle = gated(gate, calls)
				ctx := metadata.AppendToOutgoingContext(t.Context(), idempotency.Header, `"key-of-this-request"`)
				call := func(opts ...grpc.CallOption) {
					var header, trailer metadata.MD
					opts = append(opts, grpc.Header(&header), grpc.Trailer(&trailer))
					resp, err := b.client().Unary(ctx, &testpb.Request{Text: "a"}, opts...)
					if err != nil || resp.GetText() != "echo:a" {
						t.Errorf("%v, %v", resp, err)
					}
					if len(header.Get("h")) != 1 || len(trailer.Get("t")) != 1 {
						t.Errorf("the header is %v, the trailer %v", header, trailer)
					}
				}
				var running sync.WaitGroup
				running.Go(func() { call(grpc.UseCompressor("gzip")) })
				synctest.Wait()
				if name == "coalesce" {
					running.Go(func() { call() })
					running.Go(func() { call(grpc.UseCompressor("gzip")) })
					synctest.Wait()
				}
				close(gate)
				running.Wait()
				if name != "coalesce" {
					call()
					call(grpc.UseCompressor("gzip"))
				}
				if n := calls.Load(); n != 1 {
					t.Errorf("the upstream has got %d calls; want 1", n)
				}
			})
		})
	}
}

// A call whose first client has left goes on for another one.
func TestKeptResponseLeft(t *testing.T) {
	coalescing := func() hauberk.Interceptor {
		return coalesce.New(coalesce.Config{Methods: []string{"*"}, AcrossIdentities: true})
	}
	keepingRun(t, withCodecs(t, newForeign(), newForeign()), coalescing, func(t *testing.T, b *bubble) {
		gate, calls := make(chan struct{}), new(atomic.Int32)
		b.backend.Handle = gated(gate, calls)
		ctx, leave := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if _, err := b.client().Unary(ctx, &testpb.Request{Text: "a"}); status.Code(err) != codes.Canceled {
				t.Errorf("%v; want CANCELLED", err)
			}
		})
		synctest.Wait()
		running.Go(func() {
			if resp, err := b.client().Unary(t.Context(), &testpb.Request{Text: "a"}); err != nil || resp.GetText() != "echo:a" {
				t.Errorf("%v, %v", resp, err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(gate)
		running.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("the upstream has got %d calls; want 1", n)
		}
	})
}
