package ratelimit_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// Each method has a quota, on both sides.
func TestMethods(t *testing.T) {
	for _, c := range hauberktest.Cases() {
		c.Kind = hauberk.Unary
		env := c.Start(t, ratelimit.New(by(oneAMinute, callkey.Method())))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		wantCode(t, env.Call(t.Context()).Err, codes.ResourceExhausted)
		stream, err := testpb.NewTestServiceClient(env.Conn).ServerStream(t.Context(), &testpb.Request{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		wantCode(t, err, codes.OK)
		_, _ = stream.Recv() // to the end
	}
}

// Behind trusted proxies the peer is who they say, and no one else is believed.
func TestTrustedProxies(t *testing.T) {
	hop, other := tcp("10.0.0.1"), tcp("192.0.2.9")
	serve := hauberktest.Direct{}.Server(hauberk.Must(hauberk.Config{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}.New(ratelimit.New(oneAMinute))))
	wantCode(t, serve(from(hop, "x-forwarded-for", "192.0.2.1")), codes.OK)
	wantCode(t, serve(from(hop, "x-forwarded-for", "192.0.2.2")), codes.OK)
	wantCode(t, serve(from(hop, "x-forwarded-for", "192.0.2.1")), codes.ResourceExhausted)
	wantCode(t, serve(from(tcp("192.0.2.2"))), codes.ResourceExhausted)
	wantCode(t, serve(from(other, "x-forwarded-for", "192.0.2.3")), codes.OK)
	wantCode(t, serve(from(other, "x-forwarded-for", "192.0.2.4")), codes.ResourceExhausted)
}

// On a client the peer is what the connection was made for.
func TestTarget(t *testing.T) {
	hauberktest.CheckLeaks(t)
	limiter := ratelimit.New(oneAMinute)
	c := hauberktest.Case{Side: hauberk.ClientSide}
	wantCode(t, c.Start(t, limiter).Call(t.Context()).Err, codes.OK)
	wantCode(t, c.Start(t, limiter).Call(t.Context()).Err, codes.ResourceExhausted) // of the same target
	call := client(t, limiter)
	wantCode(t, call(t.Context(), nowhere), codes.OK)
	wantCode(t, call(t.Context(), nowhere), codes.ResourceExhausted)
}

// The rule reports what a call was counted by, also one without its key.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		key     callkey.Key
		subject string
		rule    string
	}{
		{callkey.Key{}, "peer", "1 in 1m0s by peer"},
		{callkey.Network(24, 48), "network", "1 in 1m0s by network"},
		{callkey.Method(), "method", "1 in 1m0s by method"},
		{callkey.Global(), "everything", "1 in 1m0s by everything"},
		{callkey.Metadata("Tenant"), "metadata:tenant", "1 in 1m0s by metadata:tenant"},
		{callkey.State(userKey), "peer", "1 in 1m0s by peer, without user"},
		{callkey.Metadata("shop"), "peer", "1 in 1m0s by peer, without metadata:shop"},
	} {
		seen, clock := observe(), hauberktest.NewClock()
		serve := server(t, seen, login{}, ratelimit.New(by(oneAMinute, c.key), ratelimit.WithClock(clock.Now)))
		ctx := from(tcp("192.0.2.1"), "tenant", "a")
		wantCode(t, serve(ctx), codes.OK)
		wantRejection(t, serve(ctx), c.subject, time.Minute)
		if len(seen.decisions) != 1 || seen.decisions[0].Rule != c.rule {
			t.Errorf("decisions %v, want the rule %q", seen.decisions, c.rule)
		}
	}
}

// guard rejects calls that have a token other than that of alice or bob, and lets
// calls without one pass, as authentication does for public methods.
type guard struct{ login }

func (guard) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	switch token := call.Metadata(ctx, "token"); {
	case len(token) == 0:
	case token[0] == "alice" || token[0] == "bob":
		userKey.Set(call, token[0])
	default:
		return hauberk.Reject(codes.Unauthenticated, "INVALID_TOKEN", "Invalid token")
	}
	return next(ctx, call)
}

// Neither callers without a token, nor ones with a bad or their own, from her
// address or another, can spend alice's quota.
func TestQuotaTheft(t *testing.T) {
	const limit = 3
	alice := from(tcp("192.0.2.1"), "token", "alice")
	serve := server(t, guard{}, ratelimit.New(
		ratelimit.Config{Limit: limit, Per: time.Hour, By: callkey.State(userKey)}))
	for _, thief := range []context.Context{
		from(tcp("192.0.2.1")), from(tcp("203.0.113.1")), from(text("alice")), from(nil),
		from(tcp("192.0.2.1"), "token", "forged"), from(tcp("192.0.2.1"), "user", "alice"),
		from(tcp("192.0.2.1"), "token", "bob"), from(tcp("192.0.2.1"), "token", "alice\x00"),
		from(tcp("192.0.2.1"), "token", "mallory", "token", "alice"),
	} {
		for range 10 * limit {
			_ = serve(thief)
		}
	}
	for range limit {
		wantCode(t, serve(alice), codes.OK)
	}
	wantCode(t, serve(alice), codes.ResourceExhausted)
}
