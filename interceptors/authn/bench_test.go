package authn_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// jwtLike is a token of the length of a JWT that is signed with HS256.
var jwtLike = strings.Repeat("eyJhbGciOiJIUzI1NiJ9", 9)

// known returns a validator that knows one token.
func known(id *authn.Identity) authn.Validator {
	return func(_ context.Context, token string) (*authn.Identity, error) {
		if token != jwtLike {
			return nil, authn.ErrInvalidToken
		}
		return id, nil
	}
}

// BenchmarkServer compares the interceptor with a chain that has none, on a unary
// call without its transport.
func BenchmarkServer(b *testing.B) {
	id := &authn.Identity{Subject: "alice"}
	expiring := &authn.Identity{Subject: "alice", Expires: time.Now().Add(24 * time.Hour)}
	for _, row := range []struct {
		name         string
		token        string
		interceptors []hauberk.Interceptor
	}{
		{"empty chain", jwtLike, nil},
		{"admitted", jwtLike, interceptors(authn.New(authn.Config{}, authn.Bearer(known(id))))},
		{"admitted until it expires", jwtLike, interceptors(authn.New(authn.Config{}, authn.Bearer(known(expiring))))},
		{"admitted, and ended when it expires", jwtLike, interceptors(authn.New(authn.Config{ExpireUnary: true}, authn.Bearer(known(expiring))))},
		{"public", jwtLike, interceptors(authn.New(authn.Config{}, authn.Bearer(known(id))))},
		{"rejected", "guess", interceptors(authn.New(authn.Config{}, authn.Bearer(known(id))))},
		{"malformed", "?", interceptors(authn.New(authn.Config{}, authn.Bearer(known(id))))},
	} {
		b.Run(row.name, func(b *testing.B) {
			var config hauberk.Config
			if row.name == "public" {
				config.Public = []string{"hauberk.test.v1.TestService/*"}
			}
			call, ctx := hauberktest.Direct{}.Server(hauberk.Must(config.New(row.interceptors...))), incoming(row.token)
			want := call(ctx)
			b.ReportAllocs()
			for b.Loop() {
				if err := call(ctx); (err == nil) != (want == nil) {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkClient compares the interceptor with a chain that has none, on a unary
// call that is not sent.
func BenchmarkClient(b *testing.B) {
	for _, row := range []struct {
		name         string
		interceptors []hauberk.Interceptor
	}{
		{"empty chain", nil},
		{"token", interceptors(authn.NewClient(authn.StaticToken(jwtLike), authn.ClientConfig{AllowClearText: true}))},
		{"token, transport security", interceptors(authn.NewClient(authn.StaticToken(jwtLike), authn.ClientConfig{}))},
	} {
		b.Run(row.name, func(b *testing.B) {
			call := hauberktest.Direct{}.Client(hauberk.Must(hauberk.New(row.interceptors...)))
			b.ReportAllocs()
			for b.Loop() {
				if err := call(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The values of the metadata are copied, which takes an allocation. An identity that is kept costs none, nor does the
// user's name.
func TestServerAllocations(t *testing.T) {
	expires := time.Now().Add(time.Hour)
	for _, id := range []*authn.Identity{{Subject: "alice"}, {Subject: "alice", Expires: expires}} {
		with := allocations(incoming(jwtLike), t, hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(authn.New(authn.Config{}, authn.Bearer(known(id)))))))
		without := allocations(incoming(jwtLike), t, hauberktest.Direct{}.Server(hauberk.Must(hauberk.New())))
		if got := with - without; got > 1 {
			t.Errorf("%v allocations, budget 1", got)
		}
	}
}

func TestClientAllocations(t *testing.T) {
	x := authn.NewClient(authn.StaticToken(jwtLike), authn.ClientConfig{AllowClearText: true})
	with := allocations(t.Context(), t, hauberktest.Direct{}.Client(hauberk.Must(hauberk.New(x))))
	without := allocations(t.Context(), t, hauberktest.Direct{}.Client(hauberk.Must(hauberk.New())))
	if got := with - without; got > 7 {
		t.Errorf("%v allocations, budget 7", got)
	}
}

func allocations(ctx context.Context, t *testing.T, call func(context.Context) error) float64 {
	t.Helper()
	return testing.AllocsPerRun(1000, func() {
		if err := call(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

func interceptors(x ...hauberk.Interceptor) []hauberk.Interceptor { return x }

// incoming is the context of an incoming call with ordinary metadata.
func incoming(token string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs(
		":authority", "localhost", "content-type", "application/grpc", "user-agent", "grpc-go", "authorization", "Bearer "+token))
}
