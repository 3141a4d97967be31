package requestid_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// A call that fails carries its id in the trailer, so that the response is Trailers-Only,
// or with EchoErrorsInHeader in the header.
func TestEchoOfFailedCalls(t *testing.T) {
	reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return hauberk.Reject(codes.PermissionDenied, "NO", "no")
	})
	panics := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("bomb") })
	exits := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		runtime.Goexit()
		return nil
	})
	guard := recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
	pass := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	})
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return status.Error(codes.NotFound, "none")
	}}
	unknown := "/hauberk.test.v1.TestService/Unknown"
	for _, kind := range kinds {
		for _, test := range []struct {
			name   string
			inner  hauberk.Interceptor
			method string
			want   codes.Code
		}{
			{"rejected by an inner interceptor", reject, hauberktest.FullMethod(kind), codes.PermissionDenied},
			{"panic of an inner interceptor", panics, hauberktest.FullMethod(kind), codes.Internal},
			{"Goexit of an inner interceptor", exits, hauberktest.FullMethod(kind), codes.Internal},
			{"failed by the handler", pass, hauberktest.FullMethod(kind), codes.NotFound},
			{"unknown method", pass, unknown, codes.Unimplemented},
		} {
			t.Run(test.name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
				for _, inHeader := range []bool{false, true} {
					ids := requestid.New(requestid.Config{EchoErrorsInHeader: inHeader})
					env := c.StartWith(t, backend, ids, guard, test.inner)
					ctx := metadata.AppendToOutgoingContext(t.Context(), header, "mine")
					out := env.Do(ctx, test.method, []*testpb.Request{{}})
					if got := status.Code(out.Err); got != test.want {
						t.Errorf("code %s, want %s", got, test.want)
					}
					if inHeader {
						equal(t, "response header", out.Header.Get(header), "mine")
						equal(t, "response trailer", out.Trailer.Get(header))
					} else {
						equal(t, "response trailer", out.Trailer.Get(header), "mine")
						if len(out.Header) > 0 {
							t.Errorf("the response is not Trailers-Only: it has the header %v", out.Header)
						}
					}
				}
			})
		}
	}
}

// The retries of grpc-go retry a failed call. They would not if its response had a header
// (gRFC A6).
func TestFailedCallsCanBeRetriedByGRPC(t *testing.T) {
	const policy = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.001s",
		"maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var calls atomic.Int64
			env := hauberktest.Start(t, hauberktest.Setup{
				Kind: kind,
				Backend: &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					if calls.Add(1) < 3 {
						return status.Error(codes.Unavailable, "starting up")
					}
					return hauberktest.Echo(ctx, s)
				}},
				Server:      hauberk.Must(hauberk.New(requestid.New(requestid.Config{}))),
				DialOptions: []grpc.DialOption{grpc.WithDefaultServiceConfig(policy)},
			})
			out := env.Call(metadata.AppendToOutgoingContext(t.Context(), header, "mine"))
			if out.Err != nil || calls.Load() != 3 {
				t.Errorf("%v after %d calls, want OK at the third", out.Err, calls.Load())
			}
			equal(t, "response header", out.Header.Get(header), "mine")
			equal(t, "response trailer", out.Trailer.Get(header))
		})
	}
}

// A stream whose handler sends the header itself, as a gateway does, carries the id there;
// a unary call then carries it in the trailer.
func TestEchoInAHeaderOfTheHandler(t *testing.T) {
	for _, kind := range kinds {
		hauberktest.CheckLeaks(t)
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if err := s.SendHeader(metadata.Pairs("first", "yes")); err != nil {
				return err
			}
			return hauberktest.Echo(ctx, s)
		}}
		c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
		out := c.StartWith(t, backend, requestid.New(requestid.Config{})).Call(metadata.AppendToOutgoingContext(t.Context(), header, "mine"), "a")
		if out.Err != nil || !slices.Equal(out.Header.Get("first"), []string{"yes"}) {
			t.Errorf("%s: %v, header %v", kind, out.Err, out.Header)
		}
		in, other := out.Header, out.Trailer
		if kind == hauberk.Unary {
			in, other = other, in
		}
		equal(t, kind.String()+": metadata", in.Get(header), "mine")
		equal(t, kind.String()+": metadata", other.Get(header))
	}
}

// A stream that fails after a message carries its id in the header, once.
func TestEchoOfAStreamThatFailsLate(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
		hauberktest.CheckLeaks(t)
		c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			return errors.Join(s.Send(&testpb.Response{}), s.Send(&testpb.Response{}), status.Error(codes.DataLoss, "lost"))
		}}
		out := c.StartWith(t, backend, requestid.New(requestid.Config{})).Call(metadata.AppendToOutgoingContext(t.Context(), header, "mine"))
		if len(out.Responses) != 2 || out.Err == nil {
			t.Errorf("%s: %d responses, %v", kind, len(out.Responses), out.Err)
		}
		equal(t, "response header", out.Header.Get(header), "mine")
		equal(t, "response trailer", out.Trailer.Get(header))
	}
}

// The id is sent also if an interceptor answers in place of the handler.
func TestEchoOfAReply(t *testing.T) {
	answer := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		return call.Reply(&testpb.Response{Text: "from the cache"})
	})
	for _, kind := range kinds {
		hauberktest.CheckLeaks(t)
		c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
		out := c.Start(t, requestid.New(requestid.Config{}), answer).Call(metadata.AppendToOutgoingContext(t.Context(), header, "mine"))
		if out.Err != nil || !slices.Equal(out.Texts(), []string{"from the cache"}) {
			t.Errorf("%s: %q, %v", kind, out.Texts(), out.Err)
		}
		equal(t, "response header", out.Header.Get(header), "mine")
	}
}

func TestNoEcho(t *testing.T) {
	hauberktest.CheckLeaks(t)
	interceptor, backend, seen := watch()
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.ServerStream}
	out := c.StartWith(t, backend, requestid.New(requestid.Config{NoEcho: true}), interceptor).Call(t.Context())
	if out.Err != nil || seen.interceptor == "" {
		t.Fatalf("error %v, id %q", out.Err, seen.interceptor)
	}
	equal(t, "response header", out.Header.Get(header))
}

// If the header has been sent already, the id is in the trailer.
func TestHeaderSentAlready(t *testing.T) {
	hauberktest.CheckLeaks(t)
	interceptor, backend, seen := watch()
	eager := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := grpc.SendHeader(ctx, metadata.Pairs("first", "yes")); err != nil {
			return err
		}
		return next(ctx, call)
	})
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
	out := c.StartWith(t, backend, eager, requestid.New(requestid.Config{}), interceptor).Call(t.Context())
	if out.Err != nil || seen.interceptor == "" {
		t.Fatalf("error %v, id %q", out.Err, seen.interceptor)
	}
	equal(t, "response header", out.Header.Get(header))
	equal(t, "response trailer", out.Trailer.Get(header), seen.interceptor)
}

// Each of many concurrent calls gets its own id back.
func TestEchoOfConcurrentCalls(t *testing.T) {
	hauberktest.CheckLeaks(t)
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	env := c.Start(t, requestid.New(requestid.Config{}))
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 50 {
				id := fmt.Sprintf("id-%d-%d", worker, i)
				out := env.Call(metadata.AppendToOutgoingContext(t.Context(), header, id))
				if got := out.Header.Get(header); !slices.Equal(got, []string{id}) {
					t.Errorf("response header has %q, want %q", got, id)
				}
			}
		})
	}
	wg.Wait()
}

// A stream of another transport may keep the metadata that it gets.
func TestEchoToAnotherTransport(t *testing.T) {
	serve := hauberk.Must(hauberk.New(requestid.New(requestid.Config{}))).UnaryServerInterceptor()
	handle := func(context.Context, any) (any, error) { return "response", nil }
	var streams []*fakeStream
	for i := range 3 {
		stream := new(fakeStream)
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(header, fmt.Sprint("id-", i)))
		ctx = grpc.NewContextWithServerTransportStream(ctx, stream)
		if _, err := serve(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, handle); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	for i, stream := range streams {
		equal(t, "header", stream.header.Get(header), fmt.Sprint("id-", i))
	}
}

type fakeStream struct{ header metadata.MD }

func (s *fakeStream) Method() string { return "/s/m" }

func (s *fakeStream) SetHeader(md metadata.MD) error { s.header = md; return nil }

func (s *fakeStream) SendHeader(md metadata.MD) error { s.header = md; return nil }

func (s *fakeStream) SetTrailer(metadata.MD) error { return nil }
