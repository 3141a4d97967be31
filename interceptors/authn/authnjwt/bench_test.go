package authnjwt_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// incoming is the context of an incoming call with ordinary metadata.
func incoming(token string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs(
		":authority", "localhost", "content-type", "application/grpc", "user-agent", "grpc-go", "authorization", "Bearer "+token))
}

// inCall runs f in a call with a token, without a transport.
func inCall(tb testing.TB, token string, f func(ctx context.Context, call *hauberk.Call)) {
	tb.Helper()
	x := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		f(ctx, call)
		return next(ctx, call)
	})
	if err := (hauberktest.Direct{}).Server(hauberk.Must(hauberk.New(x)))(incoming(token)); err != nil {
		tb.Fatal(err)
	}
}

// worlds are a validator with a token for each algorithm that is compared.
func worlds() map[string]struct {
	option authnjwt.Option
	key    any
} {
	return map[string]struct {
		option authnjwt.Option
		key    any
	}{
		"HS256": {authnjwt.WithSecrets(hsSecret), hsSecret},
		"RS256": {authnjwt.WithPublicKeys(rsaKey().Public()), rsaKey()},
		"ES256": {authnjwt.WithPublicKeys(p256().Public()), p256()},
		"EdDSA": {authnjwt.WithPublicKeys(edKey().Public()), edKey()},
	}
}

// BenchmarkAuthenticate compares kept tokens with those that are verified. The budget of a kept one
// is 200 ns and one allocation.
func BenchmarkAuthenticate(b *testing.B) {
	for algorithm, w := range worlds() {
		for name, tokens := range map[string]int{"kept": 0, "verified": -1} {
			b.Run(algorithm+"/"+name, func(b *testing.B) {
				c := config()
				c.Algorithms, c.CachedTokens = []string{algorithm}, tokens
				var list authnjwt.Revocations
				v := validator(b, c, w.option, authnjwt.WithRevocations(&list))
				text := signed(algorithm, w.key, object{"alg": algorithm, "typ": "JWT", "kid": "key-1"}.String(), claims(time.Now()).String())
				inCall(b, text, func(ctx context.Context, call *hauberk.Call) {
					b.ReportAllocs()
					for b.Loop() {
						if _, err := v.Authenticate(ctx, call); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		}
	}
}

// TestAllocations: a kept token costs the copy of the metadata's values, and nothing else.
func TestAllocations(t *testing.T) {
	var list authnjwt.Revocations
	v := validator(t, config(), edKeys(), authnjwt.WithRevocations(&list))
	inCall(t, token(claims(time.Now())), func(ctx context.Context, call *hauberk.Call) {
		allocs := testing.AllocsPerRun(1000, func() {
			if _, err := v.Authenticate(ctx, call); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 1 {
			t.Errorf("%v allocations; the budget is 1", allocs)
		}
	})
}
