package composition_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/internal/loststatus"
	"github.com/hauberk-rpc/hauberk/policy/serviceconfig"
)

const retriesConfig = `{"methodConfig": [{"name": [{"service": "hauberk.test.v1.TestService"}], "retryPolicy": {
	"maxAttempts": 4, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1,
	"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// anyCall makes a call with one request, and returns its status, header and trailer.
func anyCall(ctx context.Context, conn *grpc.ClientConn, kind hauberk.Kind) (*status.Status, metadata.MD, metadata.MD) {
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		return status.Convert(err), nil, nil
	}
	if err = stream.SendMsg(&testpb.Request{}); err == nil || errors.Is(err, io.EOF) {
		_ = stream.CloseSend()
		for err = nil; err == nil; {
			err = stream.RecvMsg(new(testpb.Response))
		}
	}
	header, _ := stream.Header()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return status.Convert(err), header, stream.Trailer()
}

// A chain made of a service config makes as many attempts at an Envoy that fails calls as grpc-go with
// this service config, and returns the same status, header and trailer.
func TestEnvoyFaults(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	var executed atomic.Int64
	srv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		executed.Add(1)
		if err := stream.RecvMsg(new(testpb.Request)); err != nil {
			return err
		}
		return stream.SendMsg(&testpb.Response{})
	}))
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	_, port, _ := strings.Cut(lis.Addr().String(), ":")
	proxy := startEnvoy(t, "faults.yaml.tmpl", map[string]any{
		"Clusters": map[string]string{"upstream": port, "empty": "", "down": "1"},
	})
	config, err := serviceconfig.Parse([]byte(retriesConfig))
	if err != nil {
		t.Fatal(err)
	}
	connect := func(opts ...grpc.DialOption) *grpc.ClientConn {
		conn, err := grpc.NewClient(proxy.target, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	native := connect(grpc.WithDefaultServiceConfig(retriesConfig))
	chain := connect(hauberk.Must(hauberk.New(config.Client().All()...)).DialOptions()...)
	for name, c := range map[string]struct {
		md       []string
		want     codes.Code
		attempts int
	}{
		"no fault":    {nil, codes.OK, 1},
		"HTTP 429":    {[]string{"x-envoy-fault-abort-request", "429"}, codes.Unavailable, 4},
		"HTTP 500":    {[]string{"x-envoy-fault-abort-request", "500"}, codes.Unknown, 1},
		"HTTP 503":    {[]string{"x-envoy-fault-abort-request", "503"}, codes.Unavailable, 4},
		"gRPC 8":      {[]string{"x-envoy-fault-abort-grpc-request", "8"}, codes.ResourceExhausted, 1},
		"gRPC 14":     {[]string{"x-envoy-fault-abort-grpc-request", "14"}, codes.Unavailable, 4},
		"a page":      {[]string{"x-case", "direct"}, codes.Unavailable, 4},
		"no upstream": {[]string{"x-case", "empty"}, codes.Unavailable, 4},
		"unreachable": {[]string{"x-case", "down"}, codes.Unavailable, 4},
	} {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				ctx := metadata.AppendToOutgoingContext(t.Context(), c.md...)
				made := func(conn *grpc.ClientConn) (attempts int, executions int64, counts string, s *status.Status) {
					attempts, executions = -proxy.requests(t), -executed.Load()
					s, header, trailer := anyCall(ctx, conn, kind)
					const key = "x-envoy-attempt-count"
					counts = strings.Join(header[key], ",") + " " + strings.Join(trailer[key], ",")
					return attempts + proxy.requests(t), executions + executed.Load(), counts, s
				}
				attempts, executions, counts, want := made(native)
				for range 10 {
					if !loststatus.Lost(kind.ClientStreams(), attempts, c.want, want.Code()) {
						break
					}
					attempts, executions, counts, want = made(native)
				}
				if want.Code() != c.want || attempts != c.attempts {
					t.Errorf("grpc-go: %d attempts, %v; want %d, %v", attempts, want, c.attempts, c.want)
				}
				attemptsOfChain, executionsOfChain, countsOfChain, got := made(chain)
				// grpc-go puts the number of attempts before the text of the status.
				if got.Code() != want.Code() || !strings.HasSuffix(want.Message(), got.Message()) {
					t.Errorf("%v; want %v", got, want)
				}
				if attemptsOfChain != attempts || executionsOfChain != executions || countsOfChain != counts {
					t.Errorf("%d attempts, %d executions, header and trailer %q; want %d, %d, %q",
						attemptsOfChain, executionsOfChain, countsOfChain, attempts, executions, counts)
				}
			})
		}
	}
}
