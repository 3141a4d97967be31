package gateway_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

func TestNewReportsWhatIsWrong(t *testing.T) {
	const good = "127.0.0.1:50051"
	tests := []struct {
		name   string
		config gateway.Config
		want   []string // parts of the error; nil means success
	}{
		{"address", gateway.Config{Upstream: good}, nil},
		{"name", gateway.Config{Upstream: "localhost:50051"}, nil},
		{"IPv6", gateway.Config{Upstream: "[::1]:50051"}, nil},
		{"target", gateway.Config{Upstream: "dns:///localhost:50051"}, nil},
		{"frames", gateway.Config{Upstream: good, Transport: gateway.TransportFrames}, nil},
		{"grpc-go", gateway.Config{Upstream: good, Transport: gateway.TransportGRPC}, nil},
		{"no transport", gateway.Config{Upstream: good, Transport: "x"}, []string{`Transport is "x"; want "frames" or "grpc"`}},
		{"a DNS server", gateway.Config{Upstream: "dns://server/localhost:50051"}, nil},
		{
			"a scheme that frames do not know",
			gateway.Config{Upstream: "xds:///shop"},
			[]string{`"xds" is not a scheme of gRPC`},
		},
		{"socket", gateway.Config{Upstream: "unix:/run/shop.sock"}, nil},
		{"no upstream", gateway.Config{}, []string{`upstream "": not an address`, "want host:port"}},
		{"no port", gateway.Config{Upstream: "localhost"}, []string{`upstream "localhost": not an address`}},
		{"no host", gateway.Config{Upstream: ":50051"}, []string{`upstream ":50051": not an address`}},
		{"bad port", gateway.Config{Upstream: "localhost:x y"}, []string{`upstream "localhost:x y": not an address`}},
		{"port 0", gateway.Config{Upstream: "localhost:0"}, []string{`upstream "localhost:0": not an address`}},
		{"port too high", gateway.Config{Upstream: "localhost:65536"}, []string{"not an address"}},
		{"unknown scheme", gateway.Config{Upstream: "http://localhost:50051"}, []string{`upstream "http://localhost:50051": "http" is not a scheme of gRPC`}},
		{
			"unknown scheme, grpc-go",
			gateway.Config{Upstream: "http://localhost:50051", Transport: gateway.TransportGRPC},
			[]string{`upstream "http://localhost:50051": "http" is not a scheme of gRPC`},
		},
		{
			"two chains",
			gateway.Config{
				Upstream: good, Chain: hauberk.Must(hauberk.New()), Live: hauberk.NewLive(hauberk.Must(hauberk.New())),
			},
			[]string{"Chain and Live are both set"},
		},
		{
			"limits",
			gateway.Config{Upstream: good, MaxMessageSize: -1, MaxHeaderListSize: -2, MaxConcurrentStreams: 1 << 40},
			[]string{"MaxMessageSize is -1; want 1 to 2147483647, or 0 for the default", "MaxHeaderListSize is -2", "MaxConcurrentStreams is 1099511627776"},
		},
		{
			"more limits",
			gateway.Config{
				Upstream: good, Transport: gateway.TransportGRPC, MaxConnectionAge: -1, MessageTimeout: time.Second, MaxMemory: -3,
			},
			[]string{"MaxConnectionAge is -1ns", `MessageTimeout is set with the transport "grpc"`, "MaxMemory is -3"},
		},
		{
			"a grace time without age",
			gateway.Config{Upstream: good, MaxConnectionAgeGrace: time.Second},
			[]string{"MaxConnectionAgeGrace is set without MaxConnectionAge"},
		},
		{
			"all limits", gateway.Config{
				Upstream: good, MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: time.Minute,
				MaxResetRate: 1, FrameTimeout: 1, MessageTimeout: 1, FirstByteTimeout: 1, MaxMemory: 1 << 40,
			}, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			g, err := gateway.New(tt.config)
			if g != nil {
				g.Stop()
			}
			if (err == nil) != (tt.want == nil) || (g == nil) != (err != nil) {
				t.Fatalf("gateway %v, error %v", g, err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return lis
}

// serve serves the test service on a socket until the test ends.
func serve(t testing.TB, backend *hauberktest.Backend) (address string) {
	t.Helper()
	lis, srv := listen(t), grpc.NewServer(grpc.MaxRecvMsgSize(64<<20))
	testpb.RegisterTestServiceServer(srv, backend)
	run(t, func() error { return srv.Serve(lis) }, srv.Stop)
	return lis.Addr().String()
}

// front starts a gateway on a socket until the test ends.
func front(t testing.TB, config gateway.Config) (address string) {
	t.Helper()
	g, err := gateway.New(config)
	if err != nil {
		t.Fatal(err)
	}
	lis := listen(t)
	run(t, func() error { return g.Serve(lis) }, g.Stop)
	return lis.Addr().String()
}

func run(t testing.TB, serve func() error, stop func()) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- serve() }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ended returns nil for io.EOF, and err otherwise.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// eachTransport runs a test for each transport.
func eachTransport(t *testing.T, test func(t *testing.T, transport gateway.Transport)) {
	t.Helper()
	for _, transport := range []gateway.Transport{gateway.TransportGRPC, gateway.TransportFrames} {
		t.Run(string(transport), func(t *testing.T) { test(t, transport) })
	}
}

// Concurrent streams keep their messages complete and in order.
func TestConcurrentStreamsKeepTheirMessages(t *testing.T) { eachTransport(t, concurrentStreams) }

func concurrentStreams(t *testing.T, transport gateway.Transport) {
	hauberktest.CheckLeaks(t)
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for {
			req, err := s.Recv()
			if err != nil {
				return ended(err)
			}
			sum := sha256.Sum256(req.GetPayload())
			if err := s.Send(&testpb.Response{Payload: append(sum[:], req.GetPayload()...)}); err != nil {
				return err
			}
		}
	}}
	client := testpb.NewTestServiceClient(dial(t, front(t, gateway.Config{Upstream: serve(t, backend), Transport: transport})))
	var wg sync.WaitGroup
	for worker := range 16 {
		random := testseed.Rand(t, uint64(worker))
		wg.Go(func() { exchangeMessages(t, client, random, 40) })
	}
	wg.Wait()
}

// exchangeMessages sends messages of random sizes, some of them with several frames. It
// sends two messages more than it has received.
func exchangeMessages(t *testing.T, client testpb.TestServiceClient, random *rand.Rand, n int) {
	stream, err := client.Bidi(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	var want [][]byte
	for i := range n + 2 {
		if i < n {
			body := make([]byte, random.IntN(1<<(random.IntN(18)+1)))
			for j := range body {
				body[j] = byte(random.Uint32())
			}
			want = append(want, body)
			if err := stream.Send(&testpb.Request{Payload: body}); err != nil {
				t.Error(err)
				return
			}
		}
		if i < 2 {
			continue
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Error(err)
			return
		}
		sum := sha256.Sum256(want[i-2])
		if string(resp.GetPayload()) != string(sum[:])+string(want[i-2]) {
			t.Errorf("message %d was modified", i-2)
		}
	}
	_ = stream.CloseSend()
	_, _ = stream.Recv()
}

// The gateway forwards calls of all kinds over sockets. Hooks can read the sizes of
// messages. No goroutine remains.
func TestEachKind(t *testing.T) { eachTransport(t, eachKind) }

func eachKind(t *testing.T, transport gateway.Transport) {
	seen := make(chan string, 1)
	chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		size := 0
		call.OnReceive(func(msg any) (keep bool, err error) {
			sized, ok := msg.(interface{ Len() int })
			if ok {
				size += sized.Len()
			}
			return ok, nil
		})
		err := next(ctx, call)
		seen <- fmt.Sprint(call.Method().FullName(), " ", size)
		return err
	})))
	hello := &testpb.Request{Text: "hello"}
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			conn := dial(t, front(t, gateway.Config{Upstream: serve(t, &hauberktest.Backend{}), Chain: chain, Transport: transport}))
			desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
			stream, err := conn.NewStream(t.Context(), desc, hauberktest.FullMethod(kind))
			if err != nil {
				t.Fatal(err)
			}
			var resp testpb.Response
			if err := stream.SendMsg(hello); err != nil {
				t.Fatal(err)
			}
			_ = stream.CloseSend()
			if err := stream.RecvMsg(&resp); err != nil || resp.GetText() != "echo:hello" {
				t.Fatal(&resp, err)
			}
			if kind.ServerStreams() {
				_ = stream.RecvMsg(&resp)
			}
			if got, want := <-seen, fmt.Sprint(hauberktest.FullMethod(kind), " ", proto.Size(hello)); got != want {
				t.Errorf("the chain ran for %q bytes, want %q", got, want)
			}
		})
	}
}
