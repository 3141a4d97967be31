package concurrency_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
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
	one, two, long := "192.0.2.1", "192.0.2.2", strings.Repeat("k", 64<<10)
	sum := sha256.Sum256([]byte(long))
	digest, readable := string(sum[:]), "sha256:"+hex.EncodeToString(sum[:])
	for _, c := range []struct {
		name   string
		key    callkey.Key
		a, b   context.Context
		shared bool
	}{
		{"global", callkey.Global(), from(one), from(two), true},
		{"default", callkey.Key{}, from(one), from(two), true},
		{"same peer", callkey.Peer(), from(one), from(one), true},
		{"other peer", callkey.Peer(), from(one), from(two), false},
		{"same user", callkey.User(), from(one, "user", "a"), from(two, "user", "a"), true},
		{"other user", callkey.User(), from(one, "user", "a"), from(one, "user", "b"), false},
		{"long", callkey.Metadata("k"), from(one, "k", long), from(one, "k", long), true},
		{"other long", callkey.Metadata("k"), from(one, "k", long), from(one, "k", long+"k"), false},
		{"the digest of another", callkey.Metadata("k-bin"), from(one, "k-bin", long), from(one, "k-bin", digest), false},
		{"the digest of another as text", callkey.Metadata("k"), from(one, "k", long), from(one, "k", readable), false},
		{"no key, same peer", callkey.Metadata("k"), from(one), from(one), true},
		{"no key, other peer", callkey.Metadata("k"), from(one), from(two), false},
		{"a key like a peer", callkey.Metadata("k"), from(one), from(two, "k", one), false},
		{"both", callkey.All(callkey.Method(), callkey.User()), from(one, "user", "a"), from(one, "user", "b"), false},
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
	x := concurrency.New(concurrency.Config{Limit: 1, By: callkey.Peer()})
	call := hauberktest.Direct{}.Client(chainOf(t, x))
	wantCode(t, call(t.Context()), codes.OK)
	if limits := x.Limits(); len(limits) != 1 || limits[0].Key != "" || !limits[0].Peer || limits[0].Limit != 1 {
		t.Errorf("%+v", limits)
	}
}

// A flood of keys does not grow the table, and does not free the slots of a key that is in use.
func TestFloodOfKeys(t *testing.T) {
	x := concurrency.New(concurrency.Config{Limit: 1, By: callkey.Metadata("k"), MaxKeys: 10})
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
