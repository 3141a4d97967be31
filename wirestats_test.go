package hauberk_test

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// wantMessages fails a test whose call did not move one message each way.
func wantMessages(t *testing.T, who string, seen <-chan measured) {
	t.Helper()
	if got := <-seen; got.sent.Messages != 1 || got.received.Messages != 1 || got.sent.Bytes == 0 || got.received.Bytes == 0 {
		t.Errorf("%s: %+v; want one message each way", who, got)
	}
}

// TestWireSizesOfTwoChains: two chains measure a call each for itself.
func TestWireSizesOfTwoChains(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		outer, inner := make(chan measured, 1), make(chan measured, 1)
		first := hauberk.Must(hauberk.Config{CountBytes: true}.New(measuring(outer)))
		second := hauberk.Must(hauberk.Config{CountBytes: true}.New(measuring(inner)))
		setup := hauberktest.Setup{Kind: c.Kind}
		if c.Side == hauberk.ServerSide {
			setup.Server, setup.ServerOptions = first, second.ServerOptions()
		} else {
			setup.Client, setup.DialOptions = first, second.DialOptions()
		}
		env := hauberktest.Start(t, setup)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		wantMessages(t, "outer", outer)
		wantMessages(t, "inner", inner)
	})
}

// TestWireSizesWithTwoHandlers gives a server or a connection the handler of its
// chain once more.
func TestWireSizesWithTwoHandlers(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen := make(chan measured, 1)
		chain := hauberk.Must(hauberk.Config{CountBytes: true}.New(measuring(seen)))
		setup, again := hauberktest.Setup{Kind: c.Kind}, chain.StatsHandler(c.Side)
		if c.Side == hauberk.ServerSide {
			setup.Server, setup.ServerOptions = chain, []grpc.ServerOption{grpc.StatsHandler(again)}
		} else {
			setup.Client, setup.DialOptions = chain, []grpc.DialOption{grpc.WithStatsHandler(again)}
		}
		env := hauberktest.Start(t, setup)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		wantMessages(t, "the chain", seen)
	})
}

// TestWireSizesOutsideOfAdapters asks from outside of grpc-go interceptors.
func TestWireSizesOutsideOfAdapters(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen, j := make(chan measured, 1), new(journal)
		env := c.With(hauberk.Config{CountBytes: true}).Start(t, measuring(seen), foreign{j, "f"}.interceptor(c.Side), foreign{j, "g"}.interceptor(c.Side))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		wantMessages(t, "outside", seen)
	})
}

// TestWireSizesWithoutTheOptions: a server that has only a chain's registrar, and
// a connection that has only its interceptors, measure nothing.
func TestWireSizesWithoutTheOptions(t *testing.T) {
	for _, kind := range allKinds {
		seen, final := make(chan *hauberk.Wire, 2), make(chan struct{}, 2)
		asking := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			seen <- call.Wire()
			call.Wire().WhenFinal(func() { final <- struct{}{} })
			return err
		})
		chain := hauberk.Must(hauberk.Config{CountBytes: true}.New(asking))
		srv := grpc.NewServer()
		testpb.RegisterTestServiceServer(chain.Registrar(srv), &hauberktest.Backend{})
		lis := bufconn.Listen(1 << 16)
		t.Cleanup(srv.Stop)
		go func() { _ = srv.Serve(lis) }()
		env := hauberktest.Start(t, hauberktest.Setup{Kind: kind, DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
			grpc.WithChainUnaryInterceptor(chain.UnaryClientInterceptor()),
			grpc.WithChainStreamInterceptor(chain.StreamClientInterceptor()),
		}})
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		for range 2 {
			if w := <-seen; w != nil {
				t.Errorf("%s: the sizes are %+v", kind, w.Sent())
			}
			<-final
		}
	}
}

// TestNothingOfAnEarlierAttempt: a second attempt that an interceptor rejects has neither
// the sizes nor the metadata of the first.
func TestNothingOfAnEarlierAttempt(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
		for _, onCopy := range []bool{false, true} {
			twice := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.CaptureMetadata()
				_ = next(ctx, call)
				if call.Wire() == nil || len(call.Trailer()["who"]) == 0 || call.Peer() == nil {
					t.Errorf("%s: of the first attempt there are %v, %v, %v", kind, call.Wire(), call.Trailer(), call.Peer())
				}
				attempt := call
				if onCopy {
					attempt = call.Attempt()
				}
				err := next(ctx, attempt)
				call.Adopt(attempt)
				if call.Wire() != nil || call.Header() != nil || call.Trailer() != nil || call.Peer() != nil {
					t.Errorf("%s, on a copy %t: left are %+v, %v, %v, %v",
						kind, onCopy, call.Wire().Sent(), call.Header(), call.Trailer(), call.Peer())
				}
				return err
			})
			attempts := 0
			second := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				attempts++
				if attempts == 2 {
					return errLimits
				}
				return next(ctx, call)
			})
			backend := &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
				_ = grpc.SetTrailer(ctx, metadata.Pairs("who", "the first"))
				return errDown
			}}
			env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.With(hauberk.Config{CountBytes: true}).StartWith(t, backend, twice, second)
			wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		}
	}
}

// TestWhenFinalHoweverACallEnds: what waits for the sizes runs in its order, once,
// and its panics are the guard's, for calls that panic or end their goroutine too.
func TestWhenFinalHoweverACallEnds(t *testing.T) {
	endings := map[string]func(){"panic": func() { panic("out of stock") }, "goexit": runtime.Goexit, "error": func() {}}
	for name, end := range endings {
		for _, kind := range allKinds {
			ran := make(chan int, 4)
			waiting := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				for i := range 3 {
					call.Wire().WhenFinal(func() {
						ran <- i
						panic(i)
					})
				}
				return next(ctx, call)
			})
			guard := recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
			backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
				end()
				return errDown
			}}
			env := hauberktest.Case{Kind: kind}.With(hauberk.Config{CountBytes: true}).StartWith(t, backend, waiting, guard)
			if env.Call(t.Context()).Err == nil {
				t.Errorf("%s: the call is OK", name)
			}
			env.Server.GracefulStop()
			for i := range 3 {
				if got := <-ran; got != i {
					t.Errorf("%s, %s: number %d ran as number %d", name, kind, got, i)
				}
			}
			want := int64(3)
			if name != "error" {
				want++
			}
			if got := guard.Panics(); len(ran) != 0 || got != want {
				t.Errorf("%s, %s: %d ran again, %d panics; want %d", name, kind, len(ran), got, want)
			}
		}
	}
}

// TestWhenFinalAfterTheEnd asks for the end of a call that is over, from a
// goroutine that its handler has left behind.
func TestWhenFinalAfterTheEnd(t *testing.T) {
	for _, kind := range allKinds {
		ended, ran := make(chan struct{}), make(chan measured, 1)
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			w := hauberk.FromContext(ctx).Wire()
			go func() {
				<-ended
				w.WhenFinal(func() { ran <- measured{w.Sent(), w.Received()} })
				close(ran)
			}()
			return hauberktest.Echo(ctx, s)
		}}
		env := hauberktest.Case{Kind: kind}.With(hauberk.Config{CountBytes: true}).StartWith(t, backend)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		env.Server.GracefulStop()
		close(ended)
		wantMessages(t, kind.String(), ran)
	}
}
