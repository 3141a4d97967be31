package authz_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

const (
	unary = "/hauberk.test.v1.TestService/Unary"
	tests = "hauberk.test.v1.TestService/*"
)

// login replaces authentication: it sets the identity that it is given.
type login struct{ id *hauberk.Identity }

func (login) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "login", Phase: hauberk.PhaseAuthn, Writes: []hauberk.StateKey{hauberk.IdentityKey}, Authenticates: true,
		Sides: hauberk.OnlyServers,
	}
}

func (l login) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if id, ok := ctx.Value(identityOf{}).(*hauberk.Identity); ok {
		hauberk.IdentityKey.Set(call, id)
	} else if l.id != nil {
		hauberk.IdentityKey.Set(call, l.id)
	}
	return next(ctx, call)
}

// identityOf is the key of an identity in the context of a call without a network.
type identityOf struct{}

// request is a call for rules.
type request struct {
	method  string // default unary
	id      *hauberk.Identity
	md      metadata.MD
	addr    string // default 192.0.2.1
	auth    credentials.AuthInfo
	noAddr  bool
	handled func(ctx context.Context)
}

func (r request) context() context.Context {
	ctx := context.WithValue(context.Background(), identityOf{}, r.id)
	p := &peer.Peer{AuthInfo: r.auth, Addr: &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}}
	if r.addr != "" {
		p.Addr = &net.TCPAddr{IP: net.ParseIP(r.addr), Port: 1}
	}
	if r.noAddr {
		p.Addr = &net.UnixAddr{Name: "@", Net: "unix"}
	}
	if r.md != nil {
		ctx = metadata.NewIncomingContext(ctx, r.md)
	}
	return peer.NewContext(ctx, p)
}

// server returns a function that serves a call without a network, and returns the error for
// its client.
func server(t testing.TB, interceptors ...hauberk.Interceptor) func(r request) error {
	t.Helper()
	chain, err := hauberk.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return serve(chain)
}

func serve(chain *hauberk.Chain) func(r request) error {
	intercept := chain.UnaryServerInterceptor()
	return func(r request) error {
		info := &grpc.UnaryServerInfo{FullMethod: r.method}
		if r.method == "" {
			info.FullMethod = unary
		}
		_, err := intercept(r.context(), &testpb.Request{Text: "text"}, info, func(ctx context.Context, _ any) (any, error) {
			if r.handled != nil {
				r.handled(ctx)
			}
			return &testpb.Response{}, nil
		})
		return err
	}
}

// policy returns a server with a policy and the login of requests.
func policy(t testing.TB, p authz.Policy, opts ...authz.Option) func(r request) error {
	t.Helper()
	return server(t, login{}, authz.New(authz.Config{Policy: p}, opts...))
}

// all is a rule that allows everything.
func all() authz.Rule { return authz.Rule{Name: "all", Methods: []string{"*"}} }

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// wantErr checks that hauberk.New reports an error with some words.
func wantErr(t *testing.T, config authz.Config, words ...string) {
	t.Helper()
	_, err := hauberk.New(login{}, authz.New(config))
	if err == nil {
		t.Errorf("no error; want %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q; want %q in it", err, w)
		}
	}
}

func md(pairs ...string) metadata.MD { return metadata.Pairs(pairs...) }
