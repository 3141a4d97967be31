// Command quickstart runs a chain on a server and one on a client.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func main() {
	chain := hauberk.Must(hauberk.New( // outermost first
		requestid.New(requestid.Config{}),
		logging.New(logging.Config{}, logging.WithLogger(logger)),
		recovery.New(recovery.Config{}),
		ratelimit.New(ratelimit.Config{Limit: 2, Per: time.Minute}), // for each peer
	))
	srv := chain.NewServer()                         // a *grpc.Server
	pb.RegisterHealthServer(srv, health.NewServer()) // your own service
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() { check(srv.Serve(lis)) }()
	client := hauberk.Must(hauberk.New(requestid.New(requestid.Config{})))
	creds := grpc.WithTransportCredentials(insecure.NewCredentials())
	conn, err := grpc.NewClient(lis.Addr().String(), client.DialOptions(creds)...)
	check(err)
	for range 3 {
		resp, err := pb.NewHealthClient(conn).Check(context.Background(), &pb.HealthCheckRequest{})
		fmt.Println(resp.GetStatus(), hauberk.Reason(err))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// logger writes the message and the status only. The default is slog.Default.
var logger = slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
	ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != slog.MessageKey && a.Key != logging.KeyStatusCode && a.Key != logging.KeyReason {
			return slog.Attr{}
		}
		return a
	},
}))
