package retry_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// TestToleratedFailures: however many failures a handler tolerates, its response has the pushback at
// most once, and only if it fails and that may come from one of the failures.
func TestToleratedFailures(t *testing.T) {
	other := status.Error(codes.Unavailable, "another reason")
	for _, c := range []struct {
		name    string
		goesOn  bool // it sends a message after the failures
		outcome func(failure error) error
		want    int // pushbacks
	}{
		{"succeeds", true, func(error) error { return nil }, 0},
		{"goes on, and fails for another reason", true, func(error) error { return other }, 0},
		{"goes on, and fails with the failure", true, func(err error) error { return err }, 1},
		{"fails with the failure", false, func(err error) error { return err }, 1},
		{"fails with its own error", false, func(error) error { return status.Error(codes.Internal, "no stock") }, 1},
		{"wraps the failure", true, func(err error) error { return fmt.Errorf("stock: %w", err) }, 1},
		{"quotes the failure", true, func(err error) error {
			return status.Errorf(codes.Unavailable, "stock: %s", status.Convert(err).Message())
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				r := all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep((&waits{}).sleep))
				inner := start(t, kind, failing(1<<40, codes.Unavailable), r)
				var outcome error
				handle := func(ctx context.Context, s hauberktest.Stream) error {
					for range 200 {
						outcome = inner.Call(ctx).Err
					}
					outcome = c.outcome(outcome)
					if c.goesOn && (outcome == nil || kind.ServerStreams()) {
						if err := s.Send(&testpb.Response{}); err != nil {
							return err
						}
					}
					return outcome
				}
				out := hauberktest.Start(t, hauberktest.Setup{
					Kind: kind, Backend: &hauberktest.Backend{Handle: handle},
					DialOptions: []grpc.DialOption{grpc.WithMaxHeaderListSize(8 << 10)},
				}).Call(t.Context(), "a")
				wantCode(t, out.Err, status.Code(outcome))
				want := c.want
				if outcome != nil && !kind.ServerStreams() {
					want = 1 // a message is not sent before the end
				}
				if got := len(out.Trailer.Get("grpc-retry-pushback-ms")); got != want {
					t.Errorf("%d pushbacks, want %d", got, want)
				}
			})
		})
	}
}

// TestToleratedFailuresOfPlainServer: a server without a chain adds the pushback once for each incoming
// call, not for each failure.
func TestToleratedFailuresOfPlainServer(t *testing.T) {
	r := all(retry.Config{}, retry.WithSleep((&waits{}).sleep))
	inner := start(t, hauberk.Unary, failing(1<<40, codes.Unavailable), r)
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		for range 200 {
			bounded, cancel := context.WithCancel(ctx)
			_ = inner.Call(bounded)
			cancel()
		}
		return hauberktest.Echo(ctx, s)
	}})
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(lis) })
	defer served.Wait()
	defer srv.Stop()
	conn, err := grpc.NewClient("passthrough:plain", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for range 3 {
		var trailer metadata.MD
		if _, err := testpb.NewTestServiceClient(conn).Unary(t.Context(), &testpb.Request{}, grpc.Trailer(&trailer)); err != nil {
			t.Fatal(err)
		}
		if got := len(trailer.Get("grpc-retry-pushback-ms")); got != 1 {
			t.Errorf("%d pushbacks, want 1", got)
		}
	}
}

// TestToleratedByInterceptor: an interceptor of the server can cause the outcome as well, and then
// the handler does not run.
func TestToleratedByInterceptor(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		r := all(retry.Config{MaxReplayBytes: 1 << 10}, retry.WithSleep((&waits{}).sleep))
		inner := start(t, kind, failing(1<<40, codes.Unavailable), r)
		asks := hauberk.Func(func(ctx context.Context, _ *hauberk.Call, _ hauberk.Next) error { return inner.Call(ctx).Err })
		outer := hauberktest.Start(t, hauberktest.Setup{
			Kind: kind, Backend: &hauberktest.Backend{}, Server: hauberk.Must(hauberk.New(asks)),
		})
		out := outer.Call(t.Context(), "a")
		wantCode(t, out.Err, codes.Unavailable)
		if got := len(out.Trailer.Get("grpc-retry-pushback-ms")); got != 1 {
			t.Errorf("%d pushbacks, want 1", got)
		}
	})
}

// TestToleratedFailureAndResume: a stream that breaks after a failure that its handler has tolerated
// is resumed.
func TestToleratedFailureAndResume(t *testing.T) {
	r := all(retry.Config{}, retry.WithSleep((&waits{}).sleep))
	inner := start(t, hauberk.Unary, failing(1<<40, codes.Unavailable), r)
	nums := numbers(6, func(attempt int) int {
		if attempt == 1 {
			return 3
		}
		return -1
	})
	plain := nums.Handle
	nums.Handle = func(ctx context.Context, s hauberktest.Stream) error {
		_ = inner.Call(ctx) // optional data
		return plain(ctx, s)
	}
	env := hauberktest.Start(t, hauberktest.Setup{
		Kind: hauberk.ServerStream, Backend: &nums.Backend, Server: hauberk.Must(hauberk.New()),
		Client: hauberk.Must(hauberk.New(resuming(retry.Config{}, after))),
	})
	out := env.Call(t.Context(), "0")
	wantCode(t, out.Err, codes.OK)
	wantNumbers(t, out, 0, 6)
}
