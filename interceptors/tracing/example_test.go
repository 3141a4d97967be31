package tracing_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// flaky returns a server that fails the first call.
func flaky() grpc.UnaryInvoker {
	calls := 0
	return func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
		calls++
		if calls == 1 {
			return status.Error(codes.Unavailable, "starting up")
		}
		return nil
	}
}

// call makes a unary call through a chain, without a network.
func call(chain *hauberk.Chain, server grpc.UnaryInvoker) {
	err := chain.UnaryClientInterceptor()(context.Background(), "/shop.v1.Cart/Get", "request", new(string), nil, server)
	if err != nil {
		panic(err)
	}
}

func Example() {
	exporter := tracetest.NewInMemoryExporter() // a program uses an exporter of go.opentelemetry.io/otel/exporters
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))

	spans := tracing.New(tracing.Config{}, tracing.WithTracerProvider(provider))
	chain := hauberk.Must(hauberk.New(
		spans, // one span for the call with all its attempts
		retry.New(retry.Config{AllMethods: true, InitialBackoff: 1}),
		spans.Attempts(), // one span for each attempt
	))
	call(chain, flaky())

	for _, s := range exporter.GetSpans().Snapshots() {
		fmt.Printf("%s %s: %s %q\n", s.SpanKind(), s.Name(), s.Status().Code, s.Status().Description)
		for _, a := range s.Attributes() {
			fmt.Printf("  %s=%s\n", a.Key, a.Value.String())
		}
	}
	// Output:
	// client shop.v1.Cart/Get: Error "starting up"
	//   rpc.system.name=grpc
	//   rpc.method=shop.v1.Cart/Get
	//   rpc.response.status_code=UNAVAILABLE
	//   error.type=UNAVAILABLE
	//   hauberk.attempt=1
	// client shop.v1.Cart/Get: Unset ""
	//   rpc.system.name=grpc
	//   rpc.method=shop.v1.Cart/Get
	//   rpc.response.status_code=OK
	//   hauberk.attempt=2
	// client shop.v1.Cart/Get: Unset ""
	//   rpc.system.name=grpc
	//   rpc.method=shop.v1.Cart/Get
	//   rpc.response.status_code=OK
}

// A log record of an outer interceptor contains the IDs of the call's span.
func ExampleLogAttrs() {
	provider := sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(counting{}))
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	logging := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		logger.LogAttrs(ctx, slog.LevelInfo, "call ended", tracing.LogAttrs(ctx, call, nil)...)
		return err
	})
	call(hauberk.Must(hauberk.New(logging, tracing.New(tracing.Config{}, tracing.WithTracerProvider(provider)))), answer)
	// Output:
	// level=INFO msg="call ended" trace_id=01000000000000000000000000000000 span_id=0200000000000000
}
