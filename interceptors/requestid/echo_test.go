package requestid_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
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

func TestEchoOfFailedCalls(t *testing.T) {
	refuse := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
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
			{"refused by an inner link", refuse, hauberktest.FullMethod(kind), codes.PermissionDenied},
			{"panic of an inner link", panics, hauberktest.FullMethod(kind), codes.Internal},
			{"Goexit of an inner link", exits, hauberktest.FullMethod(kind), codes.Internal},
			{"failed by the handler", pass, hauberktest.FullMethod(kind), codes.NotFound},
			{"unknown method", pass, unknown, codes.Unimplemented},
		} {
			t.Run(test.name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
				env := c.StartWith(t, backend, requestid.New(requestid.Config{}), guard, test.inner)
				ctx := metadata.AppendToOutgoingContext(t.Context(), header, "mine")
				out := env.Do(ctx, test.method, []*testpb.Request{{}})
				if got := status.Code(out.Err); got != test.want {
					t.Errorf("code %s, want %s", got, test.want)
				}
				equal(t, "response header", out.Header.Get(header), "mine")
			})
		}
	}
}

// A link that answers in place of the handler does not keep the id back.
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
	link, backend, seen := watch()
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.ServerStream}
	out := c.StartWith(t, backend, requestid.New(requestid.Config{NoEcho: true}), link).Call(t.Context())
	if out.Err != nil || seen.link == "" {
		t.Fatalf("error %v, id %q", out.Err, seen.link)
	}
	equal(t, "response header", out.Header.Get(header))
}

// An id that cannot be echoed any more does not fail the call.
func TestHeaderSentAlready(t *testing.T) {
	hauberktest.CheckLeaks(t)
	link, backend, seen := watch()
	eager := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := grpc.SendHeader(ctx, metadata.Pairs("first", "yes")); err != nil {
			return err
		}
		return next(ctx, call)
	})
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
	out := c.StartWith(t, backend, eager, requestid.New(requestid.Config{}), link).Call(t.Context())
	if out.Err != nil || seen.link == "" {
		t.Fatalf("error %v, id %q", out.Err, seen.link)
	}
	equal(t, "response header", out.Header.Get(header))
}

// Each of many calls beside each other gets its own id back.
func TestEchoOfCallsBesideEachOther(t *testing.T) {
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

// A stream that is not grpc-go's may keep the metadata that it is given.
func TestEchoToStandIn(t *testing.T) {
	serve := hauberk.Must(hauberk.New(requestid.New(requestid.Config{}))).UnaryServerInterceptor()
	handle := func(context.Context, any) (any, error) { return "response", nil }
	var streams []*standIn
	for i := range 3 {
		stream := new(standIn)
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

type standIn struct{ header metadata.MD }

func (s *standIn) Method() string { return "/s/m" }

func (s *standIn) SetHeader(md metadata.MD) error { s.header = md; return nil }

func (s *standIn) SendHeader(md metadata.MD) error { s.header = md; return nil }

func (s *standIn) SetTrailer(metadata.MD) error { return nil }
