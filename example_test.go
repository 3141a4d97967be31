package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// greeter answers unary calls and streams.
type greeter struct {
	testpb.UnimplementedTestServiceServer
}

func (greeter) Unary(ctx context.Context, req *testpb.Request) (*testpb.Response, error) {
	return &testpb.Response{Text: fmt.Sprintf("hello %s from %s", req.GetText(), user.Or(ctx, "no one"))}, nil
}

func (greeter) ServerStream(req *testpb.Request, stream grpc.ServerStreamingServer[testpb.Response]) error {
	for range 3 {
		if err := stream.Send(&testpb.Response{Text: "hello " + req.GetText()}); err != nil {
			return err
		}
	}
	return nil
}

// serve serves the greeter behind a chain until stop is called.
func serve(chain *hauberk.Chain) (client testpb.TestServiceClient, stop func()) {
	return serveOn(chain.NewServer())
}

// serveLive is serve for a chain that can be replaced.
func serveLive(live *hauberk.Live) (client testpb.TestServiceClient, stop func()) {
	return serveOn(live.NewServer())
}

func serveOn(srv *hauberk.Server) (client testpb.TestServiceClient, stop func()) {
	testpb.RegisterTestServiceServer(srv, greeter{})
	lis := bufconn.Listen(1 << 16)
	go func() { _ = srv.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	return testpb.NewTestServiceClient(conn), func() {
		_ = conn.Close()
		srv.GracefulStop()
	}
}

// drainStream reads a stream to its end.
func drainStream(client testpb.TestServiceClient, text string) {
	stream, err := client.ServerStream(context.Background(), &testpb.Request{Text: text})
	for err == nil {
		_, err = stream.Recv()
	}
}

// A first chain: one interceptor that prints how every call of any kind ended.
func Example() {
	printing := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call) // returns when the call has ended, streams too
		fmt.Printf("%s (%s): %s, %d sent\n", call.Method().Name(), call.Kind(), hauberk.StatusOf(err).Code(), call.Sent())
		return err
	})
	client, stop := serve(hauberk.Must(hauberk.New(printing)))
	defer stop()

	_, _ = client.Unary(context.Background(), &testpb.Request{Text: "world"})
	drainStream(client, "world")
	// Output:
	// Unary (unary): OK, 1 sent
	// ServerStream (server_stream): OK, 3 sent
}

// Some interceptors are for some methods.
func ExampleFor() {
	step := func(name string) hauberk.Interceptor {
		return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			fmt.Println(call.Method().Name(), "passes", name)
			return next(ctx, call)
		})
	}
	client, stop := serve(hauberk.Must(hauberk.New(
		hauberk.Except("grpc.health.v1.Health/*", step("logging")),
		hauberk.For("hauberk.test.v1.TestService/*",
			step("metrics"),
			hauberk.Except("hauberk.test.v1.TestService/ServerStream", step("validation")),
		),
	)))
	defer stop()

	_, _ = client.Unary(context.Background(), &testpb.Request{})
	drainStream(client, "")
	// Output:
	// Unary passes logging
	// Unary passes metrics
	// Unary passes validation
	// ServerStream passes logging
	// ServerStream passes metrics
}

func ExampleExcept() {
	chain := hauberk.Must(hauberk.New(
		hauberk.Except("grpc.health.v1.Health/*", hauberk.Named("logging", hauberk.Func(idle))),
	))
	for _, method := range []string{"shop.v1.Cart/Get", "grpc.health.v1.Health/Check"} {
		explanation, err := chain.Explain(method)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(explanation)
	}
	// Output:
	// /shop.v1.Cart/Get
	//   1  runs     logging: matched by Except("grpc.health.v1.Health/*")
	// /grpc.health.v1.Health/Check
	//   1  skipped  logging: not matched by Except("grpc.health.v1.Health/*")
}

var user = hauberk.NewKey[string]("user")

// State that an interceptor sets is read by the handler, and after next by the
// outer interceptors.
func ExampleKey() {
	printing := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		fmt.Println("called by", user.Or(ctx, "no one"))
		return err
	})
	authn := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if tokens := call.Metadata(ctx, "authorization"); len(tokens) == 1 {
			user.Set(call, tokens[0])
		}
		return next(ctx, call)
	})
	client, stop := serve(hauberk.Must(hauberk.New(printing, authn)))
	defer stop()

	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "alice")
	for _, ctx := range []context.Context{ctx, context.Background()} {
		resp, err := client.Unary(ctx, &testpb.Request{Text: "world"})
		fmt.Println(resp.GetText(), err)
	}
	// Output:
	// called by alice
	// hello world from alice <nil>
	// called by no one
	// hello world from no one <nil>
}

// errQuota is found in this process only; it is never sent.
var errQuota = errors.New("the quota of the tenant is used up")

// A rejection gives callers what they may know, and the process the cause.
func ExampleReject() {
	limit := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
		r := hauberk.Reject(codes.ResourceExhausted, "QUOTA_EXCEEDED", "try again tomorrow")
		r.Cause = errQuota
		return r
	})
	outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		fmt.Println("in the process:", hauberk.Reason(err), errors.Is(err, errQuota))
		return err
	})
	client, stop := serve(hauberk.Must(hauberk.New(outer, limit)))
	defer stop()

	_, err := client.Unary(context.Background(), &testpb.Request{})
	fmt.Println("on the wire:", status.Code(err), hauberk.Reason(err), errors.Is(err, errQuota))
	// Output:
	// in the process: QUOTA_EXCEEDED true
	// on the wire: ResourceExhausted QUOTA_EXCEEDED false
}

func ExampleReason() {
	err := hauberk.Reject(codes.Unavailable, "BREAKER_OPEN", "the backend is down")
	fmt.Println(hauberk.Reason(fmt.Errorf("reading the cart: %w", err)))
	fmt.Printf("%q\n", hauberk.Reason(status.Error(codes.Unavailable, "no details")))
	// Output:
	// BREAKER_OPEN
	// ""
}

// allowList admits callers by name. It decides and does nothing else, so that it
// can be put in shadow.
type allowList struct{ names []string }

func (*allowList) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "allow list", Phase: hauberk.PhaseAuthz, Decides: true}
}

func (a *allowList) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	for _, name := range a.names {
		if values := call.Metadata(ctx, "name"); len(values) == 1 && values[0] == name {
			return next(ctx, call)
		}
	}
	return hauberk.Reject(codes.PermissionDenied, "NOT_LISTED", "not on the list")
}

// A new policy runs in shadow first: it records what it would reject, and rejects nothing.
func ExampleShadow() {
	trial := hauberk.Shadow(&allowList{names: []string{"alice"}})
	printing := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		for _, d := range call.Decisions().Recorded() {
			fmt.Println(d.Interceptor, d.Verdict, d.Reason, "in shadow:", d.Shadow)
		}
		return err
	})
	client, stop := serve(hauberk.Must(hauberk.New(printing, trial)))
	defer stop()

	for _, name := range []string{"alice", "mallory"} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "name", name)
		_, err := client.Unary(ctx, &testpb.Request{})
		fmt.Println(name, status.Code(err))
	}
	fmt.Println("would have rejected", trial.Rejections())
	// Output:
	// alice OK
	// allow list rejected NOT_LISTED in shadow: true
	// mallory OK
	// would have rejected 1
}

// New reports interceptors in an order that cannot work.
func ExampleNew() {
	limit := &orderly{hauberk.Declaration{Name: "limit by user", Reads: []hauberk.StateKey{user}}}
	authn := &orderly{hauberk.Declaration{Name: "authn", Writes: []hauberk.StateKey{user}}}
	_, err := hauberk.New(limit, authn)
	fmt.Println(err)
	// Output:
	// hauberk: interceptor 1: limit by user reads the state "user" before it is written: authn (interceptor 2), which writes it, runs inside it
}

// orderly does nothing but to declare itself.
type orderly struct{ declaration hauberk.Declaration }

func (o *orderly) Declare() hauberk.Declaration { return o.declaration }

func (*orderly) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

// Coverage shows which methods are authenticated. A server does not start if one is neither
// authenticated nor public.
func ExampleChain_Coverage() {
	chain := hauberk.Must(hauberk.Config{Public: []string{"shop.v1.Catalog/List"}}.New(
		hauberk.For("shop.v1.Cart/*", &orderly{hauberk.Declaration{Name: "authn", Authenticates: true}}),
	))
	coverage := chain.Coverage(map[string]grpc.ServiceInfo{
		"shop.v1.Cart":    {Methods: []grpc.MethodInfo{{Name: "Get"}}},
		"shop.v1.Catalog": {Methods: []grpc.MethodInfo{{Name: "List"}, {Name: "Update"}}},
	})
	fmt.Print(coverage)
	fmt.Println(coverage.Err())
	// Output:
	// /shop.v1.Cart/Get: authn
	// /shop.v1.Catalog/List: (public)
	// /shop.v1.Catalog/Update: (UNGUARDED)
	// hauberk: the chain authenticates calls, but not those of /shop.v1.Catalog/Update: authenticate them or list them in hauberk.Config.Public
}
