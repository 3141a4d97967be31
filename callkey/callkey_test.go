package callkey_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// userKey is where login puts the user.
var userKey = hauberk.NewKey[string]("user")

// login replaces authentication: the metadata keys "user", "issuer" and "tenant" are believed.
func login(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	first := func(key string) string {
		if values := call.Metadata(ctx, key); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	if user, tenant := first("user"), first("tenant"); user != "" || tenant != "" {
		userKey.Set(call, user)
		hauberk.IdentityKey.Set(call, &hauberk.Identity{Subject: user, Issuer: first("issuer"), Tenant: tenant})
	}
	return next(ctx, call)
}

// keyed is the key of a call; peer means that it was counted by its peer.
type keyed struct {
	key  string
	peer bool
}

// keyOf returns the key of a call on a server.
func keyOf(ctx context.Context, t *testing.T, k callkey.Key) (got keyed) {
	t.Helper()
	if err := k.Err(); err != nil {
		t.Fatal(err)
	}
	read := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		key, ok := k.Append(ctx, call, []byte("before"))
		if text, same := k.Of(ctx, call); same != ok || ok && "before"+text != string(key) {
			t.Errorf("Of returned %q, %t; Append %q, %t", text, same, key, ok)
		}
		if !ok {
			if string(key) != "before" {
				t.Errorf("Append without a key returned %q", key)
			}
			var peer bool
			if key, peer = k.AppendOrPeer(ctx, call, key); !peer {
				t.Errorf("AppendOrPeer returned %q as no peer", key)
			}
		}
		got = keyed{string(key), !ok}
		return next(ctx, call)
	})
	proxies := hauberk.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	chain, err := proxies.New(hauberk.Func(login), read)
	if err != nil {
		t.Fatal(err)
	}
	if err := (hauberktest.Direct{}).Server(chain)(ctx); err != nil {
		t.Fatal(err)
	}
	return got
}

// from is the context of an incoming call from an address, with metadata.
func from(addr net.Addr, pairs ...string) context.Context {
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: addr})
	return metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
}

func tcp(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 50051} }

func unix(path string) net.Addr { return &net.UnixAddr{Net: "unix", Name: path} }

// text is an address that is no IP address.
type text string

func (text) Network() string  { return "text" }
func (a text) String() string { return string(a) }

func TestKeys(t *testing.T) {
	here, there := tcp("192.0.2.1"), tcp("192.0.2.2")
	long := strings.Repeat("k", 64<<10)
	user, tenant := callkey.State(userKey), callkey.Metadata("Tenant")
	both := callkey.All(callkey.Metadata("a"), callkey.Metadata("b"))
	for _, c := range []struct {
		name          string
		key           callkey.Key
		first, second context.Context
		apart         bool
	}{
		{"a peer", callkey.Peer(), from(here), from(here), false},
		{"two peers", callkey.Peer(), from(here), from(there), true},
		{"ports", callkey.Peer(), from(here), from(&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}), false},
		{"IPv4 in IPv6", callkey.Peer(), from(here), from(tcp("::ffff:192.0.2.1")), false},
		{"another kind of address", callkey.Peer(), from(here), from(text("192.0.2.1:7")), false},
		{"two IPv6 hosts", callkey.Peer(), from(tcp("2001:db8::1")), from(tcp("2001:db8:0:1::1")), true},
		{"addresses of a host", callkey.Peer(), from(tcp("2001:db8::1")), from(tcp("2001:db8::2:2")), false},
		{"two names", callkey.Peer(), from(text("bufconn")), from(text("pipe")), true},
		{"a name", callkey.Peer(), from(text("bufconn")), from(text("bufconn")), false},
		{"Unix sockets", callkey.Peer(), from(unix("/run/a")), from(unix("")), false},
		{"a Unix socket and a name", callkey.Peer(), from(unix("/run/a")), from(text("/run/a")), true},
		{"no address", callkey.Peer(), from(nil), t.Context(), false},
		{"no address and an empty one", callkey.Peer(), from(nil), from(text("")), true},
		{"through a proxy", callkey.Peer(), from(tcp("10.0.0.1"), "x-forwarded-for", "192.0.2.1"), from(here), false},
		{"who is no proxy", callkey.Peer(), from(there, "x-forwarded-for", "192.0.2.1"), from(here), true},
		{"IPv6 in a network", callkey.Network(32, 64), from(tcp("2001:db8::1")), from(tcp("2001:db8::2:2")), false},
		{"IPv6 in two networks", callkey.Network(32, 64), from(tcp("2001:db8::1")), from(tcp("2001:db8:0:1::1")), true},
		{"IPv4 in a network", callkey.Network(24, 64), from(here), from(there), false},
		{"IPv4 in two networks", callkey.Network(24, 64), from(here), from(tcp("192.0.3.1")), true},
		{"the networks of all", callkey.Network(0, 0), from(here), from(tcp("::1")), true},
		{"two IPv4 hosts through NAT64", callkey.Peer(), from(tcp("64:ff9b::192.0.2.1")), from(tcp("64:ff9b::192.0.2.2")), true},
		{"an IPv4 host through NAT64", callkey.Peer(), from(tcp("64:ff9b::192.0.2.1")), from(here), false},
		{"an IPv4 network through NAT64", callkey.Network(24, 64), from(tcp("64:ff9b::192.0.2.1")), from(there), false},
		{"state", user, from(here, "user", "alice"), from(there, "user", "alice"), false},
		{"other state", user, from(here, "user", "alice"), from(here, "user", "bob"), true},
		{"two cases", user, from(here, "user", "alice"), from(here, "user", "Alice"), true},
		{"no one", user, from(here), from(here), false},
		{"no one from elsewhere", user, from(here), from(there), true},
		{"no one and a user", user, from(here), from(here, "user", "alice"), true},
		{"no one and an empty user", user, from(here), from(here, "user", ""), false},
		{"a user called like the peer", user, from(here), from(here, "user", "192.0.2.1"), true},
		{"metadata", tenant, from(here, "tenant", "a"), from(there, "tenant", "a"), false},
		{"the last value", tenant, from(here, "tenant", "a", "tenant", "b"), from(there, "tenant", "b"), false},
		{"not the first value", tenant, from(here, "tenant", "a", "tenant", "b"), from(here, "tenant", "a"), true},
		{"no value", tenant, from(here), from(here, "tenant", "a"), true},
		{"an empty last value", tenant, from(here, "tenant", "a", "tenant", ""), from(here), false},
		{"64 KiB", tenant, from(here, "tenant", long), from(here, "tenant", long+"k"), true},
		{"control characters", tenant, from(here, "tenant", "a\x00"), from(here, "tenant", "a\r\n"), true},
		{"a user", callkey.User(), from(here, "user", "a"), from(there, "user", "a"), false},
		{"issuers", callkey.User(), from(here, "user", "a", "issuer", "x"), from(here, "user", "a", "issuer", "y"), true},
		{"parts of a user", callkey.User(), from(here, "user", "bc", "issuer", "a"), from(here, "user", "c", "issuer", "ab"), true},
		{"a user like an issuer and a user", callkey.User(), from(here, "user", "3:idpalice"), from(here, "user", "alice", "issuer", "idp"), true},
		{"a user like none", callkey.User(), from(here, "user", "0:3:idpalice"), from(here, "user", "3:idpalice"), true},
		{"a user without issuer", callkey.User(), from(here, "user", "3:idpalice"), from(there, "user", "3:idpalice"), false},
		{"a tenant", callkey.Tenant(), from(here, "tenant", "a"), from(there, "tenant", "a"), false},
		{"other tenant", callkey.Tenant(), from(here, "tenant", "a"), from(here, "tenant", "b"), true},
		{"no tenant", callkey.Tenant(), from(here, "user", "a"), from(there, "user", "a"), true},
		{"both", both, from(here, "a", "x", "b", "y"), from(there, "a", "x", "b", "y"), false},
		{"one differs", both, from(here, "a", "x", "b", "y"), from(here, "a", "x", "b", "z"), true},
		{"parts", both, from(here, "a", "a:b", "b", "c"), from(here, "a", "a", "b", "b:c"), true},
		{"lengths in parts", both, from(here, "a", "a", "b", "1:b1:c"), from(here, "a", "a1:b", "b", "c"), true},
		{"one is missing", both, from(here, "a", "x"), from(here, "a", "y"), false},
		{"with the peer", callkey.All(callkey.Peer(), tenant), from(here, "tenant", "a"), from(there, "tenant", "a"), true},
		{"one method", callkey.Method(), from(here), from(there), false},
		{"everything", callkey.Global(), from(here), from(there, "user", "bob"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a, b := keyOf(c.first, t, c.key), keyOf(c.second, t, c.key); (a != b) != c.apart {
				t.Errorf("%+v and %+v; want them apart: %t", a, b, c.apart)
			}
		})
	}
}

func TestPeerName(t *testing.T) {
	for addr, want := range map[net.Addr]string{
		tcp("192.0.2.1"): "192.0.2.1", tcp("2001:db8::1:1"): "2001:db8::", text("bufconn"): "bufconn", nil: "",
	} {
		key := strings.TrimPrefix(keyOf(from(addr), t, callkey.Peer()).key, "before")
		if got := callkey.PeerName(key); got != want {
			t.Errorf("%v is named %q, want %q", addr, got, want)
		}
	}
	if got := callkey.PeerName("\x01"); got != "" {
		t.Errorf("a broken key is named %q", got)
	}
}

// On a client the peer is the target of the connection, and the metadata is what it sends.
func TestClients(t *testing.T) {
	var peerKey, tenant string
	target := ""
	read := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		by, sent := callkey.Peer(), callkey.Metadata("tenant")
		peerKey, _ = by.Of(ctx, call)
		tenant, _ = sent.Of(ctx, call)
		target = call.Target()
		return next(ctx, call)
	})
	c := hauberktest.Case{Side: hauberk.ClientSide}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "tenant", "a")
	if err := c.Start(t, read).Call(ctx).Err; err != nil {
		t.Fatal(err)
	}
	if callkey.PeerName(peerKey) != target || target == "" || tenant != "a" {
		t.Errorf("peer %q of the target %q, tenant %q", callkey.PeerName(peerKey), target, tenant)
	}
}

// A call is spared if it has no identity by right, or ends as UNIMPLEMENTED.
func TestSpares(t *testing.T) {
	user, by, state := callkey.User(), callkey.Peer(), callkey.All(callkey.Method(), callkey.Tenant())
	method := callkey.Method()
	for _, c := range []struct {
		key    callkey.Key
		public bool
		want   bool
	}{
		{user, true, true},
		{state, true, true},
		{method, true, false},
		{by, true, false},
		{user, false, false},
		{by, false, false},
	} {
		var spared bool
		config := hauberk.Config{}
		if c.public {
			config.Public = []string{"*"}
		}
		chain := hauberk.Must(config.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			spared = c.key.Spares(call, true)
			return next(ctx, call)
		})))
		if err := (hauberktest.Direct{}).Server(chain)(t.Context()); err != nil {
			t.Fatal(err)
		}
		if spared != c.want {
			t.Errorf("%s, public %t: spared %t", c.key.Name(), c.public, spared)
		}
	}
}

func TestErrors(t *testing.T) {
	none := func(context.Context, *hauberk.Call) (string, bool) { return "", false }
	for want, k := range map[string]callkey.Key{
		"callkey.Func was given an empty name":       callkey.Func("", none),
		`callkey.Func "a" was given a nil function`:  callkey.Func("a", nil),
		`callkey.Metadata was given "a b"`:           callkey.Metadata("a b"),
		`callkey.Metadata was given ""`:              callkey.Metadata(""),
		"callkey.State was given a key without a":    callkey.State(hauberk.Key[string]{}),
		"callkey.Network was given 33 and 129 bits":  callkey.Network(33, 129),
		"callkey.Network was given -1 and 0 bits":    callkey.Network(-1, 0),
		"callkey.All was given no keys":              callkey.All(),
		"callkey.All was given everything as key 2":  callkey.All(callkey.Peer(), callkey.Global()),
		"callkey.All was given a zero Key as key 1":  callkey.All(callkey.Key{}),
		"callkey.Network was given -1 and 1 bits; w": callkey.All(callkey.Network(-1, 1)),
		"it has failed":                         callkey.Failed("", errors.New("it has failed")),
		"as a part":                             callkey.All(callkey.Method(), callkey.Failed("x", errors.New("as a part"))),
		`callkey.Failed "x" was given no error`: callkey.Failed("x", nil),
	} {
		if err := k.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	authority := callkey.Metadata(":authority")
	if err := authority.Err(); err != nil {
		t.Error(err)
	}
}

// A later change of the caller's slice changes nothing.
func TestReadsAreCopied(t *testing.T) {
	reads := []hauberk.StateKey{userKey}
	none := func(context.Context, *hauberk.Call) (string, bool) { return "", false }
	k := callkey.Func("tenant", none, reads...)
	reads[0] = hauberk.NewKey[string]("another")
	if got := k.Reads(); len(got) != 1 || got[0] != hauberk.StateKey(userKey) {
		t.Errorf("reads %v", got)
	}
}

// Finding a key allocates nothing.
func TestAllocations(t *testing.T) {
	keys := []callkey.Key{
		callkey.Peer(), callkey.User(), callkey.Method(), callkey.State(userKey),
		callkey.All(callkey.Method(), callkey.Tenant(), callkey.Peer()),
	}
	measure := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		for _, k := range keys {
			n := testing.AllocsPerRun(100, func() {
				var room [128]byte
				if _, ok := k.Append(ctx, call, room[:0]); !ok {
					t.Errorf("the call has no %s", k.Name())
				}
			})
			if n > 0 {
				t.Errorf("%s: %v allocations", k.Name(), n)
			}
		}
		return next(ctx, call)
	})
	chain := hauberk.Must(hauberk.New(hauberk.Func(login), measure))
	if err := (hauberktest.Direct{}).Server(chain)(from(tcp("192.0.2.1"), "user", "a", "tenant", "b")); err != nil {
		t.Fatal(err)
	}
}
