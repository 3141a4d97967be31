// Command interop runs grpc-go's interoperability tests. `interop server [CERT KEY]` serves them on
// a free port of this machine, with TLS if there are two files. `interop client ADDRESS CASE [CERT]`
// makes the calls of one case and exits with code 0 if all results are correct. It uses TLS if there
// is a file with the server's certificate.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	log.SetFlags(0)
	switch args := os.Args[1:]; {
	case (len(args) == 1 || len(args) == 3) && args[0] == "server":
		serve(args[1:])
	case (len(args) == 3 || len(args) == 4) && args[0] == "client":
		call(args[1], args[2], args[3:])
	default:
		log.Fatal("usage: interop server [CERT KEY] | interop client ADDRESS CASE [CERT]")
	}
}

func serve(files []string) {
	// Without a limit, h2spec skips a case.
	options := []grpc.ServerOption{grpc.MaxConcurrentStreams(100)}
	if len(files) > 0 {
		creds, err := credentials.NewServerTLSFromFile(files[0], files[1])
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(creds))
	}
	lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(srv, interop.NewTestServer())
	log.Printf("listening %s", lis.Addr())
	log.Fatal(srv.Serve(lis))
}

// testCase makes calls, and ends the process if a result is wrong.
type testCase func(ctx context.Context, conn *grpc.ClientConn)

// cases are the cases of the interop test descriptions that need no credentials of calls.
func cases() map[string]testCase {
	return map[string]testCase{
		"empty_unary":      plain(interop.DoEmptyUnaryCall),
		"large_unary":      plain(interop.DoLargeUnaryCall),
		"client_streaming": plain(interop.DoClientStreaming),
		"server_streaming": plain(interop.DoServerStreaming),
		"ping_pong":        plain(interop.DoPingPong),
		"empty_stream":     plain(interop.DoEmptyStream),

		"cancel_after_begin":          plain(interop.DoCancelAfterBegin),
		"cancel_after_first_response": plain(interop.DoCancelAfterFirstResponse),
		"timeout_on_sleeping_server":  plain(interop.DoTimeoutOnSleepingServer),
		"custom_metadata":             plain(interop.DoCustomMetadata),
		"status_code_and_message":     plain(interop.DoStatusCodeAndMessage),
		"special_status_message":      plain(interop.DoSpecialStatusMessage),

		"unimplemented_method": interop.DoUnimplementedMethod,
		"unimplemented_service": func(ctx context.Context, conn *grpc.ClientConn) {
			interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(conn))
		},
	}
}

func plain(do func(ctx context.Context, client testgrpc.TestServiceClient, opts ...grpc.CallOption)) testCase {
	return func(ctx context.Context, conn *grpc.ClientConn) { do(ctx, testgrpc.NewTestServiceClient(conn)) }
}

func call(address, name string, files []string) {
	do, ok := cases()[name]
	if !ok {
		log.Fatal("there is no such case")
	}
	creds := insecure.NewCredentials()
	if len(files) > 0 {
		var err error
		if creds, err = credentials.NewClientTLSFromFile(files[0], ""); err != nil {
			log.Fatal(err)
		}
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	do(ctx, conn)
	if err := conn.Close(); err != nil {
		log.Print(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, "passed")
}
