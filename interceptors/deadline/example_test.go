package deadline_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
)

// serveOne serves a call behind a chain, without a network.
func serveOne(ctx context.Context, chain *hauberk.Chain, handle func(ctx context.Context) error) error {
	info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_Unary_FullMethodName}
	_, err := chain.UnaryServerInterceptor()(ctx, &testpb.Request{}, info, func(ctx context.Context, _ any) (any, error) {
		return &testpb.Response{}, handle(ctx)
	})
	return err
}

// A server caps the time of calls, and leaves the handler a margin to answer.
func Example() {
	chain := hauberk.Must(hauberk.New(deadline.New(deadline.Config{
		Default: 2 * time.Second, Max: 10 * time.Second, Margin: 100 * time.Millisecond,
	})))
	left := func(ctx context.Context) error {
		at, _ := ctx.Deadline()
		fmt.Println("the handler has", time.Until(at).Round(10*time.Millisecond))
		return nil
	}
	_ = serveOne(context.Background(), chain, left)
	for _, timeout := range []time.Duration{time.Second, time.Minute} {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		_ = serveOne(ctx, chain, left)
		cancel()
	}
	// Output:
	// the handler has 1.9s
	// the handler has 900ms
	// the handler has 9.9s
}

// The settings of a method are those of the most specific rule that has them.
func ExampleRule() {
	chain := hauberk.Must(hauberk.New(deadline.New(deadline.Config{
		Max: 30 * time.Second, IdleTimeout: time.Minute,
		Rules: []deadline.Rule{
			{Methods: []string{"shop.v1.Cart/*"}, Max: 5 * time.Second},
			{Methods: []string{"shop.v1.Cart/Watch"}, Max: deadline.Off, IdleTimeout: time.Hour},
		},
	})))
	for _, method := range []string{"shop.v1.Cart/Get", "shop.v1.Cart/Watch", "shop.v1.Orders/Place"} {
		explanation, _ := chain.Explain(method)
		fmt.Print(explanation)
	}
	// Output:
	// /shop.v1.Cart/Get
	//   1  runs     deadline: for every method
	//               Max 5s: deadline.Config.Rules[0]
	//               IdleTimeout 1m0s: deadline.Config
	// /shop.v1.Cart/Watch
	//   1  runs     deadline: for every method
	//               IdleTimeout 1h0m0s: deadline.Config.Rules[1]
	// /shop.v1.Orders/Place
	//   1  runs     deadline: for every method
	//               Max 30s: deadline.Config
	//               IdleTimeout 1m0s: deadline.Config
}

// A dry run of early rejection records the calls that it would reject.
func ExampleConfig_minTimeLeft() {
	dry := hauberk.Shadow(deadline.New(deadline.Config{MinTimeLeft: time.Second}))
	for _, x := range []hauberk.Interceptor{dry, deadline.New(deadline.Config{MinTimeLeft: time.Second})} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		err := serveOne(ctx, hauberk.Must(hauberk.New(x)), func(context.Context) error { return nil })
		fmt.Printf("%s %q\n", status.Code(err), hauberk.Reason(err))
		cancel()
	}
	fmt.Println("would have been rejected:", dry.Rejections())
	// Output:
	// OK ""
	// DeadlineExceeded "DEADLINE_TOO_SHORT"
	// would have been rejected: 1
}
