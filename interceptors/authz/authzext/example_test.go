package authzext_test

import (
	"context"
	"fmt"
	"net"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

// tokens is an authorization service that knows one token. The handler learns its user.
type tokens struct {
	authv3.UnimplementedAuthorizationServer
}

func (tokens) Check(_ context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	http := req.GetAttributes().GetRequest().GetHttp()
	fmt.Println("asked about", http.GetPath())
	if http.GetHeaders()["authorization"] != "Bearer good" {
		return &authv3.CheckResponse{
			Status: &rpcstatus.Status{Code: int32(codes.Unauthenticated)},
			HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
				Status: &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized},
			}},
		}, nil
	}
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-user", Value: "alice"}}},
		}},
	}, nil
}

// listen starts a server and returns its address.
func listen(srv interface{ Serve(lis net.Listener) error }) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = srv.Serve(lis) }()
	return lis.Addr().String()
}

// connect connects without TLS, as only programs on one machine should.
func connect(addr string) *grpc.ClientConn {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	return conn
}

// A server asks an authorization service about each call.
func Example() {
	authz := grpc.NewServer()
	authv3.RegisterAuthorizationServer(authz, tokens{})
	toService := connect(listen(authz))
	defer authz.Stop()
	defer toService.Close()

	chain := hauberk.Must(hauberk.New(authzext.New(authzext.Config{
		Conn:       toService,
		Headers:    []string{"authorization"},
		OwnHeaders: []string{"x-user"},
	})))
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		fmt.Println("called by", metadata.ValueFromIncomingContext(ctx, "x-user"))
		return hauberktest.Echo(ctx, s)
	}})
	toServer := connect(listen(srv))
	defer srv.Stop()
	defer toServer.Close()

	client := testpb.NewTestServiceClient(toServer)
	for _, token := range []string{"Bearer good", "Bearer bad"} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", token, "x-user", "root")
		_, err := client.Unary(ctx, &testpb.Request{})
		fmt.Printf("%v %q\n", status.Code(err), hauberk.Reason(err))
	}
	// Output:
	// asked about /hauberk.test.v1.TestService/Unary
	// called by [alice]
	// OK ""
	// asked about /hauberk.test.v1.TestService/Unary
	// Unauthenticated "ACCESS_DENIED"
}
