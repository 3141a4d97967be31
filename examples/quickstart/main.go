// Command quickstart runs one chain on a server and one on a client, and a call of
// each kind through both.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

var logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: stable}))

var calls = metrics.New(metrics.Config{})

// serve registers the service on a server whose calls all pass the chain.
func serve(lis net.Listener) (*hauberk.Server, error) {
	chain, err := hauberk.New(
		requestid.New(requestid.Config{}), // first: everything below can name the call
		calls,                             // sees every call, also those rejected further in
		logging.New(logging.Config{}, logging.WithLogger(logger), logging.State("request_id", requestid.Key)),
		recovery.New(recovery.Config{}), // a panic becomes INTERNAL, and the interceptors above see it
		hauberk.For("hauberk.test.v1.TestService/Unary", hauberk.Named("not_empty", hauberk.Func(rejectEmpty))),
	)
	if err != nil {
		return nil, err
	}
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	go func() { _ = srv.Serve(lis) }()
	return srv, nil
}

// rejectEmpty is an interceptor of one's own.
func rejectEmpty(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	req, err := call.Read(ctx)
	if err != nil {
		return err
	}
	if req.(*testpb.Request).GetText() == "" {
		rejection := hauberk.Reject(codes.InvalidArgument, "EMPTY_TEXT", "the text is empty")
		rejection.FieldViolations = []hauberk.FieldViolation{{Field: "text", Description: "must not be empty"}}
		return rejection
	}
	return next(ctx, call)
}

// dial connects a client whose calls all pass a chain of its own.
func dial(addr string) (*grpc.ClientConn, error) {
	chain, err := hauberk.New(requestid.New(requestid.Config{}), recovery.New(recovery.Config{}))
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(addr, chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}

func main() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	exitOn(err)
	srv, err := serve(lis)
	exitOn(err)
	conn, err := dial(lis.Addr().String())
	exitOn(err)
	exitOn(call(testpb.NewTestServiceClient(conn)))
	exitOn(conn.Close())
	srv.GracefulStop()
	for _, method := range []string{"Unary", "ServerStream"} {
		m := calls.Snapshot().Server.Methods["/hauberk.test.v1.TestService/"+method]
		fmt.Printf("%s: %d calls, %d errors\n", method, m.Calls, m.Errors)
	}
}

func call(client testpb.TestServiceClient) error {
	ctx := context.Background()
	resp, err := client.Unary(ctx, &testpb.Request{Text: "hello"})
	if err != nil {
		return err
	}
	fmt.Println("unary:", resp.GetText())

	_, err = client.Unary(ctx, &testpb.Request{})
	fmt.Println("rejected:", hauberk.Reason(err))

	stream, err := client.ServerStream(ctx, &testpb.Request{Text: "hi", Count: 2})
	if err != nil {
		return err
	}
	var texts []string // printed when the call is over, as the server's log is by then
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			fmt.Printf("stream: %q\n", texts)
			return nil
		}
		if err != nil {
			return err
		}
		texts = append(texts, resp.GetText())
	}
}

// stable leaves out what is different in each run.
func stable(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, logging.KeyDuration, logging.KeyPeerAddress, logging.KeyPeerPort, "request_id":
		return slog.Attr{}
	default:
		return a
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
