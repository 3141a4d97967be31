package concurrency_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
)

// userKey is where login puts the user.
var userKey = hauberk.NewKey[string]("user")

// login replaces authentication: the metadata keys "user" and "tenant" are believed.
type login struct{}

func (login) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "login", Phase: hauberk.PhaseAuthn, Authenticates: true,
		Writes: []hauberk.StateKey{userKey, hauberk.IdentityKey},
	}
}

func (login) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	id := &hauberk.Identity{}
	if user := call.Metadata(ctx, "user"); len(user) > 0 {
		userKey.Set(call, user[0])
		id.Subject = user[0]
	}
	if tenant := call.Metadata(ctx, "tenant"); len(tenant) > 0 {
		id.Tenant = tenant[0]
	}
	hauberk.IdentityKey.Set(call, id)
	return next(ctx, call)
}

func from(ip string, pairs ...string) context.Context {
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}})
	return with(ctx, pairs...)
}

// Calls with the same key share a limit, others do not.
func TestKeys(t *testing.T) {
	one, long := "192.0.2.1", strings.Repeat("k", 64<<10)
	for _, c := range []struct {
		name   string
		key    concurrency.Key
		a, b   context.Context
		shared bool
	}{
		{"global", concurrency.Global(), from(one), from("192.0.2.2"), true},
		{"default", concurrency.Key{}, from(one), from("192.0.2.2"), true},
		{"method", concurrency.ByMethod(), from(one), from("192.0.2.2"), true},
		{"same peer", concurrency.ByPeer(), from(one), from(one), true},
		{"other peer", concurrency.ByPeer(), from(one), from("192.0.2.2"), false},
		{"same network", concurrency.ByPeer(), from("2001:db8::1"), from("2001:db8::2"), true},
		{"other network", concurrency.ByPeer(), from("2001:db8::1"), from("2001:db8:0:1::1"), false},
		{"same user", concurrency.ByUser(), from(one, "user", "a"), from("192.0.2.2", "user", "a"), true},
		{"other user", concurrency.ByUser(), from(one, "user", "a"), from(one, "user", "b"), false},
		{"same state", concurrency.ByState(userKey), from(one, "user", "a"), from(one, "user", "a"), true},
		{"other state", concurrency.ByState(userKey), from(one, "user", "a"), from(one, "user", "b"), false},
		{"same tenant", concurrency.ByTenant(), from(one, "tenant", "a"), from(one, "tenant", "a"), true},
		{"other tenant", concurrency.ByTenant(), from(one, "tenant", "a"), from(one, "tenant", "b"), false},
		{"metadata", concurrency.ByMetadata("K"), from(one, "k", "a"), from(one, "k", "b"), false},
		{"last value", concurrency.ByMetadata("k"), from(one, "k", "a", "k", "c"), from(one, "k", "b", "k", "c"), true},
		{"long", concurrency.ByMetadata("k"), from(one, "k", long), from(one, "k", long), true},
		{"other long", concurrency.ByMetadata("k"), from(one, "k", long), from(one, "k", long+"k"), false},
		{"control", concurrency.ByMetadata("k"), from(one, "k", "a\x00"), from(one, "k", "a\r\n"), false},
		{"no key, same peer", concurrency.ByMetadata("k"), from(one), from(one), true},
		{"no key, other peer", concurrency.ByMetadata("k"), from(one), from("192.0.2.2"), false},
		{"empty key", concurrency.ByMetadata("k"), from(one, "k", ""), from("192.0.2.2", "k", ""), false},
		{"a key like a peer", concurrency.ByMetadata("k"), from(one), from("192.0.2.2", "k", one), false},
		{
			"both", concurrency.ByAll(concurrency.ByMethod(), concurrency.ByUser()),
			from(one, "user", "a"), from(one, "user", "b"), false,
		},
		{
			"parts", concurrency.ByAll(concurrency.ByUser(), concurrency.ByMetadata("k")),
			from(one, "user", "a", "k", "1:b"), from(one, "user", "a1", "k", ":b"), false,
		},
		{
			"same parts", concurrency.ByAll(concurrency.ByUser(), concurrency.ByMetadata("k")),
			from(one, "user", "a", "k", "b"), from(one, "user", "a", "k", "b"), true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := concurrency.New(concurrency.Config{Limit: 1, By: c.key})
			var second error
			var call func(ctx context.Context) error
			nested := hauberk.Func(func(ctx context.Context, hc *hauberk.Call, next hauberk.Next) error {
				if len(hc.Metadata(ctx, "second")) == 0 {
					second = call(c.b)
				}
				return next(ctx, hc)
			})
			call = serve(t, nested, login{}, x)
			c.b = with(c.b, append([]string{"second", "1"}, pairsOf(c.b)...)...)
			wantCode(t, call(c.a), codes.OK)
			want := codes.OK
			if c.shared {
				want = codes.ResourceExhausted
			}
			wantCode(t, second, want)
			wantIdle(t, x)
		})
	}
}

// A client's peer is the target of its connection.
func TestPeerOfClients(t *testing.T) {
	x := concurrency.New(concurrency.Config{Limit: 1, By: concurrency.ByPeer()})
	call := hauberktest.Direct{}.Client(chainOf(t, x))
	wantCode(t, call(t.Context()), codes.OK)
	if limits := x.Limits(); len(limits) != 1 || limits[0].Key != "target:" || !limits[0].Peer || limits[0].Limit != 1 {
		t.Errorf("%+v", limits)
	}
}

// A flood of keys does not grow the table, and does not free the slots of a key that is in use.
func TestFloodOfKeys(t *testing.T) {
	x := concurrency.New(concurrency.Config{Limit: 1, By: concurrency.ByMetadata("k"), MaxKeys: 10})
	var during error
	var call func(ctx context.Context) error
	flood := hauberk.Func(func(ctx context.Context, hc *hauberk.Call, next hauberk.Next) error {
		if hc.Metadata(ctx, "k")[0] == "own" {
			for i := range 1000 {
				if err := call(from("192.0.2.1", "k", strings.Repeat("x", i+1))); err != nil {
					t.Error(err)
				}
			}
			during = call(from("192.0.2.1", "k", "own"))
		}
		return next(ctx, hc)
	})
	call = serve(t, flood, x)
	wantCode(t, call(from("192.0.2.1", "k", "own")), codes.OK)
	wantCode(t, during, codes.ResourceExhausted)
	if s := x.Snapshot(); s.Keys > 11 || s.EvictedKeys < 900 || s.Admitted != 1001 || s.Full != 1 || s.Running != 0 {
		t.Errorf("%+v", s)
	}
}
