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

	// A unary call whose handler adds to the record, and rejects. In a program the
	// chain is carried by chain.NewServer().
	handler := func(ctx context.Context, _ any) (any, error) {
		logging.AddFields(ctx, slog.Int("items", 3))
		return nil, hauberk.Reject(codes.FailedPrecondition, "CART_CLOSED", "the cart is closed")
	}
	serve := chain.UnaryServerInterceptor()
	_, _ = serve(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Add"}, handler)
	// Output:
	// level=WARN msg="call ended" side=server service=shop.v1.Cart method=Add kind=unary code=FailedPrecondition error="rpc error: code = FailedPrecondition desc = the cart is closed" reason=CART_CLOSED sent=0 received=1 request_id=r-1 items=3
}

// A handler adds what it has found out, in several places.
func ExampleAddFields() {
	chain := hauberk.Must(hauberk.New(logging.New(logging.Config{}, logging.WithLogger(exampleLogger()))))
	load := func(ctx context.Context) {
		logging.AddFields(ctx, slog.Bool("from_cache", true), slog.String("shard", "a"))
	}
	serveExample(chain, "/shop.v1.Cart/Get", func(ctx context.Context) error {
		load(ctx)
		logging.AddFields(ctx, slog.String("shard", "b")) // in place of "a"
		return nil
	})
	// Output:
	// level=INFO msg="call ended" side=server service=shop.v1.Cart method=Get kind=unary code=OK sent=1 received=1 from_cache=true shard=b
}

// Probes of health are not logged unless they fail, and of the calls of the busiest
// method only some.
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
	log := logging.New(config, logging.WithLogger(exampleLogger()), logging.WithClock(standing))
	chain := hauberk.Must(hauberk.New(log))
	good := func(context.Context) error { return nil }
	serveExample(chain, "/grpc.health.v1.Health/Check", good)
	for range 6 {
		serveExample(chain, "/shop.v1.Cart/Get", good)
	}
	serveExample(chain, "/shop.v1.Cart/Get", func(context.Context) error { return errors.New("disk full") })
	fmt.Println(log.SampledOut(), "calls were left out")
	// Output:
	// level=INFO msg="call ended" side=server service=shop.v1.Cart method=Get kind=unary code=OK sent=1 received=1
	// level=INFO msg="call ended" side=server service=shop.v1.Cart method=Get kind=unary code=OK sent=1 received=1
	// level=INFO msg="call ended" side=server service=shop.v1.Cart method=Get kind=unary code=OK sent=1 received=1 sampled_out=2
	// level=ERROR msg="call ended" side=server service=shop.v1.Cart method=Get kind=unary code=Unknown error="disk full" sent=0 received=1 sampled_out=1
	// 3 calls were left out
}

// Messages are logged without the fields that the .proto file marks debug_redact,
// and those that the Config names.
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
	// level=INFO msg="message passed" side=server service=shop.v1.Cart method=Get kind=unary direction=received sequence=1 type=hauberk.test.v1.Request size=23 payload="{\"text\":\"hello\",\"payload\":\"[redacted]\",\"secret\":\"[redacted]\"}"
	// level=INFO msg="message passed" side=server service=shop.v1.Cart method=Get kind=unary direction=sent sequence=1 type=hauberk.test.v1.Response size=4 payload="{\"text\":\"hi\"}"
	// level=INFO msg="call ended" side=server service=shop.v1.Cart method=Get kind=unary code=OK sent=1 received=1 request_metadata.authorization=[redacted] request_metadata.tenant=blue
}

// Calls do not wait for the log: another goroutine writes it, until Close.
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
	// level=INFO msg="call ended" side=server service=shop.v1.Cart method=Get kind=unary code=OK sent=1 received=1
	// 0 records were dropped
}

// The ids of a span, or whatever else a context has, in every record.
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
	// level=INFO msg="call ended" side=server service=shop.v1.Cart method=Get kind=unary code=OK sent=1 received=1 region=eu-1
}

// serveExample serves a unary call. In a program the chain is carried by
// chain.NewServer().
func serveExample(chain *hauberk.Chain, method string, handle func(ctx context.Context) error) {
	handler := func(ctx context.Context, _ any) (any, error) { return "response", handle(ctx) }
	_, _ = chain.UnaryServerInterceptor()(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: method}, handler)
}

// standing is a clock that does not go.
func standing() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// exampleLogger writes text, without what differs from run to run.
func exampleLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == logging.KeyDuration {
				return slog.Attr{}
			}
			return a
		},
	}))
}
