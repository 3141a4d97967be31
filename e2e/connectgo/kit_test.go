package connectgo_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// h2c returns a client of HTTP/2 without TLS.
func h2c(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// callConnect makes a call with one request with a client of connect-go that speaks gRPC, and returns its error.
func callConnect(ctx context.Context, client *http.Client, addr string, kind hauberk.Kind, text string) error {
	url := "http://" + addr + hauberktest.FullMethod(kind)
	c := connect.NewClient[testpb.Request, testpb.Response](client, url, connect.WithGRPC())
	req := &testpb.Request{Text: text}
	switch kind {
	case hauberk.ClientStream:
		stream := c.CallClientStream(ctx)
		_ = stream.Send(req) // CloseAndReceive has the status
		_, err := stream.CloseAndReceive()
		return err
	case hauberk.ServerStream:
		stream, err := c.CallServerStream(ctx, connect.NewRequest(req))
		if err != nil {
			return err
		}
		defer stream.Close()
		for stream.Receive() {
		}
		return stream.Err()
	case hauberk.Bidi:
		stream := c.CallBidiStream(ctx)
		defer func() { _ = stream.CloseResponse() }()
		_ = stream.Send(req) // Receive has the status
		_ = stream.CloseRequest()
		for {
			if _, err := stream.Receive(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	default:
		_, err := c.CallUnary(ctx, connect.NewRequest(req))
		return err
	}
}

// callGRPC makes the same call with a client of grpc-go.
func callGRPC(ctx context.Context, conn *grpc.ClientConn, kind hauberk.Kind, text string) error {
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		return err
	}
	_ = stream.SendMsg(&testpb.Request{Text: text}) // RecvMsg has the status
	_ = stream.CloseSend()
	for {
		if err := stream.RecvMsg(new(testpb.Response)); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// statusOf returns the status in an error of connect-go.
func statusOf(t *testing.T, err error) *status.Status {
	t.Helper()
	if err == nil {
		return nil
	}
	failed, ok := errors.AsType[*connect.Error](err)
	if !ok {
		t.Fatalf("%v is no error of connect-go", err)
	}
	p := &spb.Status{Code: int32(failed.Code()), Message: failed.Message()}
	for _, d := range failed.Details() {
		p.Details = append(p.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type(), Value: d.Bytes()})
	}
	return status.FromProto(p)
}

// server is a server with a client of grpc-go.
type server struct {
	*hauberk.Server

	addr string
	conn *grpc.ClientConn
}

// serve starts a server on its own listener or, if web, in a server of net/http.
func serve(
	t *testing.T, chain *hauberk.Chain, handle func(ctx context.Context, s hauberktest.Stream) error, web bool,
) server {
	t.Helper()
	s := server{Server: chain.NewServer()}
	testpb.RegisterTestServiceServer(s, &hauberktest.Backend{Handle: handle})
	if web {
		over := httptest.NewUnstartedServer(s)
		over.Config.Protocols = new(http.Protocols)
		over.Config.Protocols.SetUnencryptedHTTP2(true)
		over.Start()
		t.Cleanup(over.Close)
		s.addr = over.Listener.Addr().String()
	} else {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = s.Serve(lis) }()
		s.addr = lis.Addr().String()
	}
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.conn = conn
	return s
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// sameStatus checks that connect-go and grpc-go have received the same status, and returns it.
func sameStatus(t *testing.T, connectErr, grpcErr error) *status.Status {
	t.Helper()
	got, want := statusOf(t, connectErr), status.Convert(grpcErr)
	if connectErr == nil && grpcErr == nil {
		return nil
	}
	same := func(a, b *anypb.Any) bool {
		return a.MessageName() == b.MessageName() && slices.Equal(a.GetValue(), b.GetValue())
	}
	if got.Code() != want.Code() || got.Message() != want.Message() ||
		!slices.EqualFunc(got.Proto().GetDetails(), want.Proto().GetDetails(), same) {
		t.Errorf("connect-go has %v; grpc-go has %v", got.Proto(), want.Proto())
	}
	return got
}

// wantShuttingDown checks that a shutdown has ended or rejected a call of connect-go.
func wantShuttingDown(t *testing.T, err error) {
	t.Helper()
	st := statusOf(t, err)
	if st.Code() != codes.Unavailable || hauberk.Reason(st.Err()) != hauberk.ReasonShuttingDown {
		t.Errorf("%v; want UNAVAILABLE with %s", st.Proto(), hauberk.ReasonShuttingDown)
	}
}
