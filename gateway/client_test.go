package gateway_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// callEach makes a call of each kind, and returns the first response, if there is one, and the error.
func callEach(t *testing.T, ctx context.Context, address string) map[string]string { //nolint:revive // t first
	t.Helper()
	client := testpb.NewTestServiceClient(dial(t, address))
	got := make(map[string]string)
	end := func(kind, text string, err error) {
		if err = ended(err); err != nil {
			text += " " + status.Code(err).String()
		}
		got[kind] = text
	}
	req := &testpb.Request{Text: "x", Count: 1}
	resp, err := client.Unary(ctx, req)
	end("unary", resp.GetText(), err)
	down, err := client.ServerStream(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	first, err := down.Recv()
	if err == nil {
		_, err = down.Recv()
	}
	end("server stream", first.GetText(), err)
	up, err := client.ClientStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = up.Send(req)
	resp, err = up.CloseAndRecv()
	end("client stream", resp.GetText(), err)
	both, err := client.Bidi(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = both.Send(req)
	first, err = both.Recv()
	_ = both.CloseSend()
	if err == nil {
		_, err = both.Recv()
	}
	end("bidi", first.GetText(), err)
	return got
}

// The chain for the client repeats the calls to the upstream: clients see one call, with messages of both attempts
// equal.
func TestClientChainRetries(t *testing.T) { eachTransport(t, clientChainRetries) }

func clientChainRetries(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	var calls atomic.Int64
	backend := serve(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		if calls.Add(1)%2 == 1 {
			return status.Error(codes.Unavailable, "not yet")
		}
		return hauberktest.Echo(ctx, s)
	}})
	client := hauberk.Must(hauberk.New(retry.New(retry.Config{
		MaxAttempts: 3, RetryableStatusCodes: []codes.Code{codes.Unavailable},
		NoCallerPushback: true, NoBudget: true, Methods: []string{"*"}, MaxReplayBytes: 1000,
	})))
	address := front(t, gateway.Config{Upstream: backend, Transport: transport, Client: client})
	for kind, got := range callEach(t, t.Context(), address) {
		if got != "echo:x" {
			t.Errorf("%s: %q", kind, got)
		}
	}
	if n := calls.Load(); n != 8 {
		t.Errorf("%d calls of the upstream; want 8", n)
	}
}

// The chain for the client runs inside the other one and sees metadata, messages and statuses. A status that it does not
// change reaches the client with all its details, and its own rejections do not reach the upstream.
func TestClientChainForwards(t *testing.T) { eachTransport(t, clientChainForwards) }

func clientChainForwards(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	backend := serve(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		md, _ := metadata.FromIncomingContext(ctx)
		if _, err := s.Recv(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := s.Send(&testpb.Response{Text: md.Get("x-added")[0]}); err != nil {
			return err
		}
		st, _ := status.New(codes.Aborted, "no").WithDetails(&errdetails.ErrorInfo{Reason: "WHY"})
		return st.Err()
	}})
	reject := new(atomic.Bool)
	client := hauberk.Must(hauberk.New(hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if reject.Load() {
				return hauberk.Reject(codes.ResourceExhausted, "TOO_MANY", "no")
			}
			return next(metadata.AppendToOutgoingContext(ctx, "x-added", "by the chain"), call)
		})))
	address := front(t, gateway.Config{Upstream: backend, Transport: transport, Client: client})
	stream, err := testpb.NewTestServiceClient(dial(t, address)).ServerStream(t.Context(), &testpb.Request{})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil || resp.GetText() != "by the chain" {
		t.Fatalf("%v, %v", resp, err)
	}
	_, err = stream.Recv()
	if st := status.Convert(err); st.Code() != codes.Aborted || len(st.Details()) != 1 {
		t.Errorf("error %v with details %v", err, st.Details())
	}
	reject.Store(true)
	for kind, got := range callEach(t, t.Context(), address) {
		if got != " ResourceExhausted" {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// The chain for the client is replaced while a stream runs, which keeps its chain.
func TestClientLive(t *testing.T) { eachTransport(t, clientLive) }

func clientLive(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	backend := serve(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		md, _ := metadata.FromIncomingContext(ctx)
		for {
			if _, err := s.Recv(); err != nil {
				return ended(err)
			}
			if err := s.Send(&testpb.Response{Text: md.Get("x-chain")[0]}); err != nil {
				return err
			}
		}
	}})
	live := hauberk.NewLive(named("first"))
	client := testpb.NewTestServiceClient(dial(t, front(t, gateway.Config{
		Upstream: backend, Transport: transport, ClientLive: live,
	})))
	open := func() func() string {
		stream, err := client.Bidi(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = stream.CloseSend()
			_, _ = stream.Recv()
		})
		return func() string {
			if err := stream.Send(&testpb.Request{}); err != nil {
				t.Fatal(err)
			}
			resp, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			return resp.GetText()
		}
	}
	old := open()
	if got := old(); got != "first" {
		t.Errorf("the first call has %q", got)
	}
	if err := live.Swap(named("second")); err != nil {
		t.Fatal(err)
	}
	if a, b := old(), open()(); a != "first" || b != "second" {
		t.Errorf("a call of the old chain has %q, one of the new %q", a, b)
	}
}

// named returns a chain that adds a name to the metadata for the upstream.
func named(name string) *hauberk.Chain {
	return hauberk.Must(hauberk.New(hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			return next(metadata.AppendToOutgoingContext(ctx, "x-chain", name), call)
		})))
}

// The two ways to set a chain exclude each other.
func TestClientChainTwice(t *testing.T) {
	config := gateway.Config{Upstream: "127.0.0.1:1", Client: named("a"), ClientLive: hauberk.NewLive(named("b"))}
	if err := config.Validate(); err == nil || err.Error() !=
		"gateway: Client and ClientLive are both set; want one of them" {
		t.Errorf("%v", err)
	}
}

// Metadata of Strip and what looks like it reaches neither the chain nor the upstream. Forward sets it.
func TestStripAndForward(t *testing.T) { eachTransport(t, stripAndForward) }

func stripAndForward(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	var seen, received metadata.MD
	backend := serve(t, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		received, _ = metadata.FromIncomingContext(ctx)
		return hauberktest.Echo(ctx, s)
	}})
	chain := hauberk.Must(hauberk.New(hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			seen, _ = metadata.FromIncomingContext(ctx)
			return next(ctx, call)
		})))
	address := front(t, gateway.Config{
		Upstream: backend, Transport: transport, Chain: chain, Strip: []string{"X-User"},
		Forward: func(ctx context.Context, md metadata.MD) {
			if hauberk.FromContext(ctx) == nil {
				t.Error("no call")
			}
			md.Set("x-user", "alice")
		},
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user", "eve", "x_user", "eve", "x-user-bin", "eve",
		"x.user", "eve", "x_user-bin", "eve", "x-user2", "kept")
	if _, err := testpb.NewTestServiceClient(dial(t, address)).Unary(ctx, &testpb.Request{}); err != nil {
		t.Fatal(err)
	}
	for key, values := range seen {
		if slices.Contains(values, "eve") {
			t.Errorf("the chain sees %s", key)
		}
	}
	for key, values := range received {
		if slices.Contains(values, "eve") {
			t.Errorf("the upstream receives %s", key)
		}
	}
	if received.Get("x-user")[0] != "alice" || seen.Get("x-user2")[0] != "kept" {
		t.Errorf("the chain sees %v, the upstream receives %v", seen, received)
	}
}

// A method becomes known by a status that the upstream has sent, not by one that the chain for the client has made.
func TestClientChainTeachesNoMethods(t *testing.T) { eachTransport(t, clientChainTeachesNoMethods) }

func clientChainTeachesNoMethods(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	backend := serve(t, &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return status.Error(codes.NotFound, "no")
	}})
	for name, c := range map[string]struct {
		method string
		next   bool // the chain for the client calls the upstream
		known  bool
	}{
		"a rejection":               {"/made.up.Service/Method", false, false},
		"a changed status":          {"/made.up.Service/Method", true, false},
		"an answer of the upstream": {testpb.TestService_Unary_FullMethodName, true, true},
		"a method, but no answer":   {testpb.TestService_Unary_FullMethodName, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			known := make(chan bool, 2)
			address := front(t, gateway.Config{
				Upstream: backend, Transport: transport,
				Chain: hauberk.Must(hauberk.New(hauberk.Func(
					func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						known <- call.Method().Known()
						return next(ctx, call)
					}))),
				Client: hauberk.Must(hauberk.New(hauberk.Func(
					func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						if c.next {
							_ = next(ctx, call)
						}
						return status.Error(codes.NotFound, "by the chain")
					}))),
			})
			conn := dial(t, address)
			for range 2 {
				err := conn.Invoke(t.Context(), c.method, &testpb.Request{}, new(testpb.Response))
				if status.Code(err) != codes.NotFound {
					t.Fatal(err)
				}
			}
			if first, second := <-known, <-known; first || second != c.known {
				t.Errorf("the method is known: %t, then %t; want false, then %t", first, second, c.known)
			}
		})
	}
}
