package e2e_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// service is an upstream. Its streams echo. Its unary calls answer with the request id of the
// request, if it has one.
type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func (service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

func (service) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	id := strings.Join(metadata.ValueFromIncomingContext(ctx, "x-request-id"), ",")
	return &testgrpc.SimpleResponse{Username: id}, nil
}

// upstream serves until the test ends.
func upstream(t *testing.T) (address string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(srv, service{})
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	return lis.Addr().String()
}

func dial(t *testing.T, address string) testgrpc.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return testgrpc.NewTestServiceClient(conn)
}

// echo begins a stream and waits until the upstream has answered.
func echo(t *testing.T, client testgrpc.TestServiceClient) testgrpc.TestService_FullDuplexCallClient {
	t.Helper()
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := again(stream); err != nil {
		t.Fatal(err)
	}
	return stream
}

func again(stream testgrpc.TestService_FullDuplexCallClient) error {
	if err := stream.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
		return err
	}
	_, err := stream.Recv()
	return err
}

// eachTransport runs a test with each transport, and gives it the flag.
func eachTransport(t *testing.T, test func(t *testing.T, flag string)) {
	t.Helper()
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) { test(t, "--transport="+transport) })
	}
}

// After a signal, running calls finish, and then the sidecar ends with exit code 0.
func TestSignalDrains(t *testing.T) { eachTransport(t, signalDrains) }

func signalDrains(t *testing.T, flag string) {
	t.Helper()
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			gate, address := sidecar(t, io.Discard, upstream(t), flag)
			stream := echo(t, dial(t, address))
			gate.signal(t, sig)
			gate.says(t, `^hauberk: (shutting down); .* 30s .*$`)
			if err := again(stream); err != nil {
				t.Errorf("the running call: %v", err)
			}
			_ = stream.CloseSend()
			if _, err := stream.Recv(); err != io.EOF {
				t.Errorf("the end of the running call: %v", err)
			}
			if err := gate.wait(t); err != nil {
				t.Errorf("the sidecar ended with %v", err)
			}
			gate.says(t, `^hauberk: stopped; (1) calls, 0 failed$`)
		})
	}
}

// After the drain time, the sidecar ends the remaining calls and exits with code 0.
func TestDrainTimeIsUp(t *testing.T) { eachTransport(t, drainTimeIsUp) }

func drainTimeIsUp(t *testing.T, flag string) {
	t.Helper()
	gate, address := sidecar(t, io.Discard, upstream(t), flag, "--drain", "10ms")
	stream := echo(t, dial(t, address))
	gate.signal(t, syscall.SIGTERM)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the running call: %v, want UNAVAILABLE", err)
	}
	if err := gate.wait(t); err != nil {
		t.Errorf("the sidecar ended with %v", err)
	}
	gate.says(t, `^hauberk: (drain time exceeded);`)
}

// A second signal ends the sidecar at once.
func TestSecondSignal(t *testing.T) {
	gate, address := sidecar(t, io.Discard, upstream(t))
	echo(t, dial(t, address))
	gate.signal(t, syscall.SIGTERM)
	gate.says(t, `^hauberk: (shutting down);`)
	gate.signal(t, syscall.SIGTERM)
	if err := gate.wait(t); err == nil || !strings.Contains(err.Error(), "signal: terminated") {
		t.Errorf("the sidecar ended with %v, want the signal", err)
	}
}

// A log that is not read, or that is closed, delays no call.
func TestUnreadLog(t *testing.T) {
	for _, name := range []string{"full", "closed"} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			gate, address := sidecar(t, w, upstream(t))
			_ = w.Close()
			if name == "closed" {
				_ = r.Close()
			}
			client := dial(t, address)
			for range 500 { // some 200 KB of log; a pipe takes 64
				if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := gate.stop(t); err != nil {
				t.Errorf("the sidecar ended with %v", err)
			}
			gate.says(t, `^hauberk: stopped; (500) calls`)
		})
	}
}

// Request ids appear only in the log, unless an option enables forwarding them.
func TestRequestIDs(t *testing.T) {
	for _, flags := range [][]string{nil, {"--forward-request-id"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			_, address := sidecar(t, io.Discard, upstream(t), flags...)
			var header metadata.MD
			resp, err := dial(t, address).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.Header(&header))
			if err != nil {
				t.Fatal(err)
			}
			back, want := strings.Join(header.Get("x-request-id"), ","), flags != nil
			if (back != "") != want || resp.GetUsername() != back {
				t.Errorf("the upstream got %q, the client %q; ids travel: %v", resp.GetUsername(), back, want)
			}
		})
	}
}

// If there is no upstream, the client receives UNAVAILABLE. The error does not contain the
// upstream's address.
func TestNoUpstream(t *testing.T) { eachTransport(t, noUpstream) }

func noUpstream(t *testing.T, flag string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := lis.Addr().String()
	_ = lis.Close()
	_, address := sidecar(t, io.Discard, nowhere, flag)
	_, err = dial(t, address).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
	if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), nowhere) {
		t.Error(err)
	}
}
