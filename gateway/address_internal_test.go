package gateway

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
)

// x-forwarded-for has what trusted proxies have written and the peer, in both forms of metadata.
func TestAddress(t *testing.T) {
	chain := hauberk.Must(hauberk.Config{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, TrustUnixSockets: true,
	}.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	})))
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 5} }
	for _, c := range []struct {
		name string
		peer net.Addr
		came []string // values of x-forwarded-for
		want string
	}{
		{"none", tcp("192.0.2.1"), nil, "192.0.2.1"},
		{"an untrusted peer", tcp("192.0.2.1"), []string{"198.51.100.7"}, "192.0.2.1"},
		{"an IPv6 peer", tcp("2001:db8::1"), []string{"198.51.100.7"}, "2001:db8::1"},
		{"a trusted peer", tcp("10.0.0.1"), []string{"198.51.100.7"}, "198.51.100.7, 10.0.0.1"},
		{"a forged entry", tcp("10.0.0.1"), []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7, 10.0.0.1"},
		{"two proxies", tcp("10.0.0.1"), []string{"203.0.113.9", "198.51.100.7,10.0.0.2"}, "198.51.100.7, 10.0.0.2, 10.0.0.1"},
		{"with a port", tcp("10.0.0.1"), []string{"198.51.100.7:99"}, "198.51.100.7:99, 10.0.0.1"},
		{"no address", tcp("10.0.0.1"), []string{"unknown"}, "10.0.0.1"},
		{"a trusted peer alone", tcp("10.0.0.1"), nil, "10.0.0.1"},
		{"a socket", &net.UnixAddr{Name: "/run/proxy.sock", Net: "unix"}, []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		{"a socket alone", &net.UnixAddr{Name: "/run/proxy.sock", Net: "unix"}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			md := metadata.MD{"kept": {"a"}, "x_forwarded_for": {"192.0.2.9"}, "x-forwarded-for-bin": {"192.0.2.9"}}
			fields := []hpack.HeaderField{{Name: "x.forwarded.for", Value: "192.0.2.9"}, {Name: "kept", Value: "a"}}
			for _, value := range c.came {
				md.Append(forwardedFor, value)
				fields = append(fields, hpack.HeaderField{Name: forwardedFor, Value: value})
			}
			want := []hpack.HeaderField{{Name: "kept", Value: "a"}}
			if c.want != "" {
				want = append(want, hpack.HeaderField{Name: forwardedFor, Value: c.want})
			}
			ctx := metadata.NewIncomingContext(peer.NewContext(t.Context(), &peer.Peer{Addr: c.peer}), md)
			handle := func(ctx context.Context, _ any) (any, error) {
				setAddress(ctx, md)
				if got := setAddressField(ctx, fields); !slices.Equal(got, want) {
					t.Errorf("the fields are %v; want %v", got, want)
				}
				return nil, nil
			}
			_, _ = chain.UnaryServerInterceptor()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Cart/Get"}, handle)
			if got := md.Get(forwardedFor); len(md) != len(want) || c.want != "" && !slices.Equal(got, []string{c.want}) {
				t.Errorf("the metadata is %v; want x-forwarded-for: %q", md, c.want)
			}
		})
	}
}
