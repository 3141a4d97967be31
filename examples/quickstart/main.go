// Command quickstart runs a chain on a server and one on a client.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func main() {
	calls := metrics.New(metrics.Config{})
	server := hauberk.Must(hauberk.New(
		requestid.New(requestid.Config{}), // outermost first
		calls,
		recovery.New(recovery.Config{}),
		ratelimit.New(ratelimit.Config{Limit: 2, Per: time.Minute}), // for each peer
	)).NewServer() // a *grpc.Server
	pb.RegisterHealthServer(server, health.NewServer()) // your own service
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.Serve(lis) }()

	client := hauberk.Must(hauberk.New(requestid.New(requestid.Config{})))
	conn, err := grpc.NewClient(lis.Addr().String(),
		client.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		resp, err := pb.NewHealthClient(conn).Check(context.Background(), &pb.HealthCheckRequest{})
		fmt.Println(resp.GetStatus(), hauberk.Reason(err))
	}
	fmt.Println("rejected:", calls.Snapshot().Server.Rejections)
}
