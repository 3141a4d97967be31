package ratelimit_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// passes reports whether a limiter of one call lets the second of two pass.
func passes(t testing.TB, key ratelimit.Key, calls [2]context.Context) bool {
	t.Helper()
	serve := server(t, login{}, ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: key, MaxKeys: 16}))
	if err := serve(calls[0]); err != nil {
		t.Fatal(err)
	}
	err := serve(calls[1])
	if err != nil && status.Code(err) != codes.ResourceExhausted {
		t.Fatal(err)
	}
	return err == nil
}

func TestKeys(t *testing.T) {
	here, there := tcp("192.0.2.1"), tcp("192.0.2.2")
	user, tenant := ratelimit.ByState(userKey), ratelimit.ByMetadata("Tenant")
	for _, c := range []struct {
		name          string
		key           ratelimit.Key
		first, second context.Context
		apart         bool
	}{
		{"a peer", ratelimit.ByPeer(), from(here), from(here), false},
		{"the default", ratelimit.Key{}, from(here), from(there), true},
		{"two peers", ratelimit.ByPeer(), from(here), from(there), true},
		{"a peer's ports", ratelimit.ByPeer(), from(here), from(&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}), false},
		{"IPv4 in IPv6", ratelimit.ByPeer(), from(here), from(tcp("::ffff:192.0.2.1")), false},
		{"another kind of address", ratelimit.ByPeer(), from(here), from(text("192.0.2.1:7")), false},
		{"two IPv6 peers", ratelimit.ByPeer(), from(tcp("2001:db8::1")), from(tcp("2001:db8:0:1::1")), true},
		{"two addresses of an IPv6 host", ratelimit.ByPeer(), from(tcp("2001:db8::1")), from(tcp("2001:db8::2:2")), false},
		{"two names", ratelimit.ByPeer(), from(text("bufconn")), from(text("pipe")), true},
		{"a name", ratelimit.ByPeer(), from(text("bufconn")), from(text("bufconn")), false},
		{"no address", ratelimit.ByPeer(), from(nil), t.Context(), false},
		{"no address and an empty one", ratelimit.ByPeer(), from(nil), from(text("")), true},
		{"IPv6 in a network", ratelimit.ByNetwork(32, 64), from(tcp("2001:db8::1")), from(tcp("2001:db8::2:2")), false},
		{"IPv6 in two networks", ratelimit.ByNetwork(32, 64), from(tcp("2001:db8::1")), from(tcp("2001:db8:0:1::1")), true},
		{"IPv4 in a network", ratelimit.ByNetwork(24, 64), from(here), from(there), false},
		{"IPv4 in two networks", ratelimit.ByNetwork(24, 64), from(here), from(tcp("192.0.3.1")), true},
		{"the network of alls", ratelimit.ByNetwork(0, 0), from(here), from(tcp("::1")), true},
		{"a user", user, from(here, "user", "alice"), from(there, "user", "alice"), false},
		{"two users", user, from(here, "user", "alice"), from(here, "user", "bob"), true},
		{"two cases", user, from(here, "user", "alice"), from(here, "user", "Alice"), true},
		{"no one", user, from(here), from(here), false},
		{"no one from elsewhere", user, from(here), from(there), true},
		{"no one and a user", user, from(here), from(here, "user", "alice"), true},
		{"no one and an empty user", user, from(here), from(here, "user", ""), false},
		{"two empty users", user, from(here, "user", ""), from(there, "user", ""), true},
		{"a user called like the peer", user, from(here), from(here, "user", "192.0.2.1"), true},
		{"metadata", tenant, from(here, "tenant", "a"), from(there, "tenant", "a"), false},
		{"the last value", tenant, from(here, "tenant", "a", "tenant", "b"), from(there, "tenant", "b"), false},
		{"not the first value", tenant, from(here, "tenant", "a", "tenant", "b"), from(here, "tenant", "a"), true},
		{"no value", tenant, from(here), from(here, "tenant", "a"), true},
		{"an empty last value", tenant, from(here, "tenant", "a", "tenant", ""), from(here), false},
		{"one method", ratelimit.ByMethod(), from(here), from(there), false},
		{"everything", ratelimit.Global(), from(here), from(there, "user", "bob"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := passes(t, c.key, [2]context.Context{c.first, c.second}); got != c.apart {
				t.Errorf("counted apart: %t, want %t", got, c.apart)
			}
		})
	}
}

func TestByMethod(t *testing.T) {
	for _, c := range hauberktest.Cases() {
		c.Kind = hauberk.Unary
		env := c.Start(t, ratelimit.New(by(oneAMinute, ratelimit.ByMethod())))
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

func TestMetadataOfClients(t *testing.T) {
	call := client(t, ratelimit.New(by(oneAMinute, ratelimit.ByMetadata("tenant"))))
	with := func(tenant string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "tenant", tenant)
	}
	wantCode(t, call(with("a"), nowhere), codes.OK)
	wantCode(t, call(with("b"), nowhere), codes.OK)
	wantCode(t, call(with("a"), nowhere), codes.ResourceExhausted)
}

// The rule reports what a call was counted by, also one without its key.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		key     ratelimit.Key
		subject string
		rule    string
	}{
		{ratelimit.Key{}, "peer", "1 in 1m0s by peer"},
		{ratelimit.ByNetwork(24, 48), "network", "1 in 1m0s by network"},
		{ratelimit.ByMethod(), "method", "1 in 1m0s by method"},
		{ratelimit.Global(), "everything", "1 in 1m0s by everything"},
		{ratelimit.ByMetadata("Tenant"), "metadata:tenant", "1 in 1m0s by metadata:tenant"},
		{ratelimit.ByState(userKey), "peer", "1 in 1m0s by peer, without user"},
		{ratelimit.ByMetadata("shop"), "peer", "1 in 1m0s by peer, without metadata:shop"},
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
		ratelimit.Config{Limit: limit, Per: time.Hour, By: ratelimit.ByState(userKey)}))
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
