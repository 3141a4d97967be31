package logging_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func Example() {
	chain := hauberk.Must(hauberk.New(
		requestid.New(requestid.Config{}, requestid.WithGenerator(func() string { return "r-1" })),
		logging.New(logging.Config{}, logging.WithLogger(exampleLogger()), logging.State("request_id", requestid.Key)),
	))

	// A unary call whose handler adds to the record, and rejects. A program uses
	// chain.NewServer().
	handler := func(ctx context.Context, _ any) (any, error) {
		logging.AddFields(ctx, slog.Int("items", 3))
		return nil, hauberk.Reject(codes.FailedPrecondition, "CART_CLOSED", "the cart is closed")
	}
	serve := chain.UnaryServerInterceptor()
	_, _ = serve(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Add"}, handler)
	// Output:
	// level=WARN msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Add rpc.kind=unary rpc.response.status_code=FAILED_PRECONDITION error.message="the cart is closed" hauberk.rejection.reason=CART_CLOSED rpc.sent=0 rpc.received=1 request_id=r-1 items=3
}

// A handler adds attributes in several places.
func ExampleAddFields() {
	chain := hauberk.Must(hauberk.New(logging.New(logging.Config{}, logging.WithLogger(exampleLogger()))))
	load := func(ctx context.Context) {
		logging.AddFields(ctx, slog.Bool("from_cache", true), slog.String("shard", "a"))
	}
	serveExample(chain, "/shop.v1.Cart/Get", func(ctx context.Context) error {
		load(ctx)
		logging.AddFields(ctx, slog.String("shard", "b")) // replaces "a"
		return nil
	})
	// Output:
	// level=INFO msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.response.status_code=OK rpc.sent=1 rpc.received=1 from_cache=true shard=b
}

// The application's own lines get the ids of their call, and so do the records of calls.
func ExampleHandler() {
	text := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: stable})
	logger := slog.New(logging.Handler(text, logging.State("request_id", requestid.Key)))
	// With users and traces: logging.State("user", authn.User), logging.WithAttrs(tracing.LogAttrs).
	chain := hauberk.Must(hauberk.New(
		requestid.New(requestid.Config{}, requestid.WithGenerator(func() string { return "r-1" })),
		logging.New(logging.Config{Names: logging.MiddlewareNames()}, logging.WithLogger(logger)),
	))
	serveExample(chain, "/shop.v1.Cart/Get", func(ctx context.Context) error {
		logger.With("component", "store").WithGroup("cart").InfoContext(ctx, "loaded", "items", 3)
		return nil
	})
	// Output:
	// level=INFO msg=loaded component=store cart.items=3 request_id=r-1
	// level=INFO msg="call ended" protocol=grpc grpc.component=server grpc.service=shop.v1.Cart grpc.method=Get grpc.method_type=unary grpc.code=OK grpc.sent=1 grpc.received=1 request_id=r-1
}

// Health checks are logged only if they fail, and of the busiest method only some calls.
func Example_rules() {
	config := logging.Config{
		Rules: []logging.Rule{
			{
				Methods: []string{"grpc.health.v1.Health/*"},
				Levels:  map[codes.Code]slog.Level{codes.OK: slog.LevelDebug},
			},
			{Methods: []string{"shop.v1.Cart/Get"}, Sampling: &logging.Sampling{First: 2, OneIn: 3}},
		},
		Slow: time.Second, // slower calls are all logged
	}
	log := logging.New(config, logging.WithLogger(exampleLogger()), logging.WithClock(fixed))
	chain := hauberk.Must(hauberk.New(log))
	good := func(context.Context) error { return nil }
	serveExample(chain, "/grpc.health.v1.Health/Check", good)
	for range 6 {
		serveExample(chain, "/shop.v1.Cart/Get", good)
	}
	serveExample(chain, "/shop.v1.Cart/Get", func(context.Context) error { return errors.New("disk full") })
	fmt.Println(log.SampledOut(), "calls were left out")
	// Output:
	// level=INFO msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.response.status_code=OK rpc.sent=1 rpc.received=1
	// level=INFO msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.response.status_code=OK rpc.sent=1 rpc.received=1
	// level=INFO msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.response.status_code=OK rpc.sent=1 rpc.received=1 hauberk.sampled_out=2
	// level=ERROR msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.response.status_code=UNKNOWN error.message="disk full" rpc.sent=0 rpc.received=1 hauberk.sampled_out=1
	// 3 calls were left out
}

// Messages are logged without the fields that the .proto file marks debug_redact and
// without those that the Config names.
func Example_payloads() {
	config := logging.Config{
		Payloads: logging.Payloads{On: true, Redact: []string{"hauberk.test.v1.Request.payload"}},
		Metadata: logging.Metadata{Request: true},
	}
	chain := hauberk.Must(hauberk.New(logging.New(config, logging.WithLogger(exampleLogger()))))
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(
		"authorization", "Bearer s3cret", "tenant", "blue"))
	request := &testpb.Request{Text: "hello", Payload: []byte("s3cret"), Secret: "s3cret"}
	handler := func(context.Context, any) (any, error) { return &testpb.Response{Text: "hi"}, nil }
	serve := chain.UnaryServerInterceptor()
	_, _ = serve(ctx, request, &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}, handler)
	// Output:
	// level=INFO msg="message passed" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.message.direction=received rpc.message.id=1 rpc.message.full_name=hauberk.test.v1.Request rpc.message.uncompressed_size=23 rpc.message.payload="{\"text\":\"hello\",\"payload\":\"[redacted]\",\"secret\":\"[redacted]\"}"
	// level=INFO msg="message passed" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.message.direction=sent rpc.message.id=1 rpc.message.full_name=hauberk.test.v1.Response rpc.message.uncompressed_size=4 rpc.message.payload="{\"text\":\"hi\"}"
	// level=INFO msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.response.status_code=OK rpc.sent=1 rpc.received=1 rpc.request.metadata.authorization=[redacted] rpc.request.metadata.tenant=blue
}

// Another goroutine writes the log, so that calls do not wait for it.
func Example_queue() {
	log := logging.New(logging.Config{Queue: 1024}, logging.WithLogger(exampleLogger()))
	chain := hauberk.Must(hauberk.New(log))
	serveExample(chain, "/shop.v1.Cart/Get", func(context.Context) error { return nil })

	// At the end of the program, when its servers have stopped:
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := log.Close(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(log.Dropped(), "records were dropped")
	// Output:
	// level=INFO msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.response.status_code=OK rpc.sent=1 rpc.received=1
	// 0 records were dropped
}

// Every record has data of the context, such as the ids of a span.
func ExampleWithAttrs() {
	type region struct{}
	regionOf := func(ctx context.Context, _ *hauberk.Call, list []slog.Attr) []slog.Attr {
		if r, ok := ctx.Value(region{}).(string); ok {
			list = append(list, slog.String("region", r))
		}
		return list
	}
	locate := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(context.WithValue(ctx, region{}, "eu-1"), call)
	})
	chain := hauberk.Must(hauberk.New(locate,
		logging.New(logging.Config{}, logging.WithLogger(exampleLogger()), logging.WithAttrs(regionOf))))
	serveExample(chain, "/shop.v1.Cart/Get", func(context.Context) error { return nil })
	// Output:
	// level=INFO msg="call ended" rpc.system.name=grpc rpc.side=server rpc.service=shop.v1.Cart rpc.method=shop.v1.Cart/Get rpc.kind=unary rpc.response.status_code=OK rpc.sent=1 rpc.received=1 region=eu-1
}

// serveExample serves a unary call. A program uses chain.NewServer().
func serveExample(chain *hauberk.Chain, method string, handle func(ctx context.Context) error) {
	handler := func(ctx context.Context, _ any) (any, error) { return "response", handle(ctx) }
	_, _ = chain.UnaryServerInterceptor()(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: method}, handler)
}

// fixed is a clock that always shows the same time.
func fixed() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// exampleLogger writes text, without attributes that differ from run to run.
func exampleLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: stable}))
}

func stable(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, logging.KeyDuration, "grpc.duration":
		return slog.Attr{}
	}
	return a
}
