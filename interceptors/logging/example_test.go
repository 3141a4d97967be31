package logging_test

import (
	"context"
	"log/slog"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func Example() {
	chain := hauberk.Must(hauberk.New(
		requestid.New(requestid.Config{}, requestid.WithGenerator(func() string { return "r-1" })),
		logging.New(logging.Config{}, logging.WithLogger(exampleLogger()), logging.State("request_id", requestid.Key)),
	))

	// A unary call whose handler adds to the record, and refuses. In a program the
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
