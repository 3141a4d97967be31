package metricsotel_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

func Example() {
	reader := sdk.NewManualReader() // a program uses a periodic reader and an exporter
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	config := hauberk.Config{CountBytes: true} // enables sizes on grpc-go's servers and connections
	chain := hauberk.Must(config.New(
		metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(provider)),
	))

	// A program calls chain.NewServer() instead.
	serve := chain.UnaryServerInterceptor()
	info := &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}
	_, _ = serve(context.Background(), "request", info, func(context.Context, any) (any, error) { return "response", nil })

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		fmt.Println(err)
	}
	for _, scope := range collected.ScopeMetrics {
		fmt.Println(scope.Scope.Name)
		for _, m := range scope.Metrics {
			fmt.Println(m.Name, m.Unit)
		}
	}
	// Output:
	// github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel
	// grpc.server.call.started {call}
	// grpc.server.call.duration s
}

// If a client retries, record calls outside the retries and attempts inside.
func ExampleInterceptor_Attempts() {
	m := metricsotel.New(metricsotel.Config{Enable: []string{metricsotel.ClientCallRetries}})
	chain, err := hauberk.New(
		m.Calls(),
		retry.New(retry.Config{MaxAttempts: 3}),
		m.Attempts(), // innermost: a call that is rejected in this process is not an attempt
	)
	fmt.Println(chain != nil, err)

	_, err = hauberk.New(retry.New(retry.Config{}), m.Attempts())
	fmt.Println(err != nil)
	// Output:
	// true <nil>
	// true
}
