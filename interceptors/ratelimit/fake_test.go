package ratelimit_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// registry catches the service that a chain registers, so that its handlers can
// be run without a network.
type registry struct {
	desc *grpc.ServiceDesc
	impl any
}

func (r *registry) RegisterService(desc *grpc.ServiceDesc, impl any) { r.desc, r.impl = desc, impl }

// server returns a function that serves one unary call behind a chain of links, on
// the goroutine that calls it.
func server(t testing.TB, links ...hauberk.Interceptor) func(ctx context.Context) error {
	t.Helper()
	var r registry
	testpb.RegisterTestServiceServer(chainOf(t, links...).Registrar(&r), &hauberktest.Backend{Handle: answer})
	handler, decode := r.desc.Methods[0].Handler, func(any) error { return nil }
	return func(ctx context.Context) error {
		_, err := handler(r.impl, ctx, decode, nil)
		return err
	}
}

var response = &testpb.Response{}

func answer(_ context.Context, s hauberktest.Stream) error { return s.Send(response) }

// client returns a function that makes one unary call through a chain of links, to
// a connection that answers at once.
func client(t testing.TB, links ...hauberk.Interceptor) func(ctx context.Context, method string) error {
	t.Helper()
	through, req, resp := chainOf(t, links...).ClientConn(conn{}), &testpb.Request{}, &testpb.Response{}
	return func(ctx context.Context, method string) error { return through.Invoke(ctx, method, req, resp) }
}

type conn struct{ grpc.ClientConnInterface }

func (conn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

func chainOf(t testing.TB, links ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	chain, err := hauberk.New(links...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// from is the context of an incoming call from an address, with metadata.
func from(addr net.Addr, pairs ...string) context.Context {
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: addr})
	return metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
}

func tcp(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 50051} }

// text is an address that is no IP address.
type text string

func (text) Network() string  { return "text" }
func (a text) String() string { return string(a) }

// userKey is where login puts the user.
var userKey = hauberk.NewKey[string]("user")

// login stands for authentication: the metadata key "user" is believed, and calls
// without it are let pass.
type login struct{}

func (login) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "login", Phase: hauberk.PhaseAuthn, Writes: []hauberk.StateKey{userKey}, Authenticates: true,
	}
}

func (login) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if user := call.Metadata(ctx, "user"); len(user) > 0 {
		userKey.Set(call, user[0])
	}
	return next(ctx, call)
}
