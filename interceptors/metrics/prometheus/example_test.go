package metricsprom_test

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	metricsprom "github.com/hauberk-rpc/hauberk/interceptors/metrics/prometheus"
)

func Example() {
	calls := metrics.New(metrics.Config{})
	chain := hauberk.Must(hauberk.New(calls))

	registry := prometheus.NewRegistry() // promhttp.HandlerFor serves it
	if err := registry.Register(metricsprom.New(calls)); err != nil {
		fmt.Println(err)
	}

	// In a program the chain is carried by chain.NewServer().
	serve := chain.UnaryServerInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	_, _ = serve(context.Background(), "request", info, func(context.Context, any) (any, error) { return "response", nil })

	families, err := registry.Gather()
	fmt.Println(err)
	for _, f := range families {
		fmt.Println(f.GetName(), len(f.GetMetric()))
	}
	// Output:
	// <nil>
	// grpc_server_handled_total 1
	// grpc_server_handling_seconds 1
	// grpc_server_in_flight 1
	// grpc_server_msg_received_total 1
	// grpc_server_msg_sent_total 1
	// grpc_server_started_total 1
}
