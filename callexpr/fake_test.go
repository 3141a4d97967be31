package callexpr_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// identityOf is the key of an identity in the context of a call, for login.
type identityOf struct{}

// login replaces authentication: it sets the identity in the context of a call, or else believes the
// metadata keys "user" and "weight".
type login struct{}

func (login) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "login", Phase: hauberk.PhaseAuthn, Writes: []hauberk.StateKey{hauberk.IdentityKey}, Authenticates: true,
	}
}

func (login) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if id, ok := ctx.Value(identityOf{}).(*hauberk.Identity); ok {
		hauberk.IdentityKey.Set(call, id)
	} else if user := call.Metadata(ctx, "user"); len(user) > 0 {
		claims := map[string]any{}
		if weight := call.Metadata(ctx, "weight"); len(weight) > 0 {
			claims["weight"] = weight[0]
		}
		hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: user[0], Claims: claims})
	}
	return next(ctx, call)
}

// request is a call for expressions.
type request struct {
	id *hauberk.Identity
	md metadata.MD
}

// context is that of an incoming call from 192.0.2.1.
func (r request) context() context.Context {
	ctx := context.Background()
	if r.id != nil {
		ctx = context.WithValue(ctx, identityOf{}, r.id)
	}
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}})
	if r.md != nil {
		ctx = metadata.NewIncomingContext(ctx, r.md)
	}
	return ctx
}

// inside runs f within a call on a server.
func inside(t testing.TB, r request, f func(ctx context.Context, call *hauberk.Call)) {
	t.Helper()
	chain := hauberk.Must(hauberk.New(login{}, hauberk.Func(
		func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			f(ctx, call)
			return next(ctx, call)
		})))
	if err := (hauberktest.Direct{}).Server(chain)(r.context()); err != nil {
		t.Fatal(err)
	}
}

// wantErr checks that an error has some words.
func wantErr(t *testing.T, err error, words ...string) {
	t.Helper()
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

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

var alice = &hauberk.Identity{
	Subject: "alice", Issuer: "https://issuer.example", Tenant: "acme", Method: "jwt",
	Scopes: []string{"read", "write"}, Roles: []string{"buyer"},
	Claims: map[string]any{"plan": "gold", "account": 42.0, "big": 12345678.0, "active": true, "weight": "heavy", "nil": nil},
}

func md(pairs ...string) metadata.MD { return metadata.Pairs(pairs...) }
