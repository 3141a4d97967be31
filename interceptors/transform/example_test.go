package transform_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// A client adds a tenant and a deadline to its calls, and trims their requests.
func Example() {
	chain := hauberk.Must(hauberk.New(
		transform.New(
			transform.Config{
				Metadata:       transform.Metadata{Set: metadata.MD{"x-tenant": {"shop"}}},
				DefaultTimeout: 5 * time.Second,
				WaitForReady:   new(true),
			},
			transform.EditRequests(func(req *wrapperspb.StringValue) error {
				req.Value = strings.TrimSpace(req.GetValue())
				return nil
			}),
		),
	))

	// A program gives chain.DialOptions() to grpc.NewClient. Here the chain is called
	// directly.
	invoke := chain.UnaryClientInterceptor()
	transport := func(ctx context.Context, _ string, req, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
		md, _ := metadata.FromOutgoingContext(ctx)
		_, bounded := ctx.Deadline()
		fmt.Println("tenant", md.Get("x-tenant"), "deadline", bounded, "options", len(opts))
		fmt.Printf("request %q\n", req.(*wrapperspb.StringValue).GetValue())
		return nil
	}
	request := wrapperspb.String("  a cart ")
	if err := invoke(context.Background(), "/shop.v1.Cart/Get", request, &wrapperspb.StringValue{}, nil, transport); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("the application's %q\n", request.GetValue())
	// Output:
	// tenant [shop] deadline true options 1
	// request "a cart"
	// the application's "  a cart "
}

// A server does not reveal to unauthenticated callers which objects are missing.
func ExampleStatus() {
	chain := hauberk.Must(hauberk.New(
		hauberk.For("shop.v1.Admin/*", transform.New(transform.Config{
			Statuses: []transform.Status{{From: codes.NotFound, To: codes.PermissionDenied, Message: "not for you"}},
		})),
	))

	// The chain is called directly, without a server.
	serve := chain.UnaryServerInterceptor()
	handler := func(context.Context, any) (any, error) { return nil, status.Error(codes.NotFound, "no user 42") }
	for _, method := range []string{"/shop.v1.Admin/Get", "/shop.v1.Cart/Get"} {
		_, err := serve(context.Background(), "request", &grpc.UnaryServerInfo{FullMethod: method}, handler)
		fmt.Println(err)
	}
	// Output:
	// rpc error: code = PermissionDenied desc = not for you
	// rpc error: code = NotFound desc = no user 42
}

// A client drops requests without a text, and splits long ones.
func ExampleRequests() {
	const most = 4
	split := transform.Requests(func(_ *hauberk.Call, msg *wrapperspb.StringValue, emit func(*wrapperspb.StringValue) error) error {
		for rest := msg.GetValue(); rest != ""; {
			part := rest[:min(most, len(rest))]
			rest = rest[len(part):]
			if err := emit(wrapperspb.String(part)); err != nil {
				return err
			}
		}
		return nil
	})
	chain := hauberk.Must(hauberk.New(transform.New(transform.Config{}, split)))

	// The chain is called directly, without a connection.
	transport := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		return &wireStream{ctx: ctx, send: func(msg *wrapperspb.StringValue) { fmt.Printf("sent %q\n", msg.GetValue()) }}, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: true}
	stream, err := chain.StreamClientInterceptor()(ctx, desc, nil, "/shop.v1.Cart/Upload", transport)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"abc", "", "0123456789"} {
		if err := stream.SendMsg(wrapperspb.String(text)); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// sent "abc"
	// sent "0123"
	// sent "4567"
	// sent "89"
}

// wireStream is a stream without a connection.
type wireStream struct {
	grpc.ClientStream

	ctx  context.Context
	send func(msg *wrapperspb.StringValue)
}

func (s *wireStream) Context() context.Context { return s.ctx }

func (s *wireStream) SendMsg(msg any) error {
	s.send(msg.(*wrapperspb.StringValue))
	return nil
}
