package ratelimit_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// server returns a function that serves one unary call behind a chain of interceptors, on
// the goroutine that calls it.
func server(t testing.TB, interceptors ...hauberk.Interceptor) func(ctx context.Context) error {
	t.Helper()
	return hauberktest.Direct{}.Server(chainOf(t, interceptors...))
}

// client returns a function that makes one unary call through a chain of interceptors, to
// a connection that answers at once.
func client(t testing.TB, interceptors ...hauberk.Interceptor) func(ctx context.Context, method string) error {
	t.Helper()
	through, req, resp := chainOf(t, interceptors...).ClientConn(hauberktest.Conn{}), &testpb.Request{}, &testpb.Response{}
	return func(ctx context.Context, method string) error { return through.Invoke(ctx, method, req, resp) }
}

func chainOf(t testing.TB, interceptors ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
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

// login replaces authentication: the metadata key "user" is believed, and calls
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

// keyed carries the key of a call in its context.
type keyed struct{}

var byContext = callkey.Func("keyed", func(ctx context.Context, _ *hauberk.Call) (string, bool) {
	key, ok := ctx.Value(keyed{}).(string)
	return key, ok
})
