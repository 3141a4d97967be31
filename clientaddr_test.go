package hauberk_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// addrOfCall returns the ClientAddr of a call from a peer with metadata.
func addrOfCall(trusted []netip.Prefix, from net.Addr, md metadata.MD) netip.Addr {
	return addrWith(hauberk.Config{TrustedProxies: trusted}, from, md)
}

// addrWith is addrOfCall with a configuration.
func addrWith(config hauberk.Config, from net.Addr, md metadata.MD) (addr netip.Addr) {
	look := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		addr = call.ClientAddr()
		return call.Reply(&testpb.Response{})
	})
	var r registry
	chain := hauberk.Must(config.New(look))
	testpb.RegisterTestServiceServer(chain.Registrar(&r), fixedService{})
	ctx := metadata.NewIncomingContext(context.Background(), md)
	if from != nil {
		ctx = peer.NewContext(ctx, &peer.Peer{Addr: from})
	}
	_, _ = r.desc.Methods[0].Handler(r.impl, ctx, func(any) error { return nil }, nil)
	return addr
}

func tcp(addr string) net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 443))
}

// textAddr is the address of a peer that is only known as text, as behind
// ServeHTTP.
type textAddr string

func (textAddr) Network() string  { return "text" }
func (a textAddr) String() string { return string(a) }

func forwarded(lines ...string) metadata.MD { return metadata.MD{"x-forwarded-for": lines} }

func TestClientAddr(t *testing.T) {
	proxies := []string{"10.0.0.0/8", "2001:db8:ffff::/48", "fe80::/10"}
	for _, tc := range []struct {
		name    string
		trusted []string // proxies, if nil
		from    net.Addr
		md      metadata.MD
		want    string // "" is the zero Addr
	}{
		{name: "peer", from: tcp("192.0.2.1"), want: "192.0.2.1"},
		{name: "IPv6 peer", from: tcp("2001:db8::1"), want: "2001:db8::1"},
		{name: "IPv4 peer in IPv6 form", from: tcp("::ffff:192.0.2.1"), want: "192.0.2.1"},
		{name: "peer with a zone", from: tcp("fe90::1%eth0"), want: "fe90::1"},
		{name: "peer as text", from: textAddr("192.0.2.1:443"), want: "192.0.2.1"},
		{name: "peer as text, IPv6", from: textAddr("[fe80::1%eth0]:443"), md: forwarded("192.0.2.1"), want: "192.0.2.1"},
		{name: "no peer"},
		{name: "peer without an address", from: textAddr("bufconn"), md: forwarded("192.0.2.1")},
		{name: "unix socket", from: &net.UnixAddr{Name: "@"}, md: forwarded("192.0.2.1")},
		{name: "nil address", from: (*net.TCPAddr)(nil)},

		{name: "spoof of an untrusted peer", from: tcp("192.0.2.1"), md: forwarded("198.51.100.7"), want: "192.0.2.1"},
		{name: "spoof of a trusted address", from: tcp("192.0.2.1"), md: forwarded("10.0.0.1"), want: "192.0.2.1"},
		{name: "no one trusted", trusted: []string{}, from: tcp("10.0.0.1"), md: forwarded("198.51.100.7"), want: "10.0.0.1"},
		{name: "trusted peer, no header", from: tcp("10.0.0.1"), want: "10.0.0.1"},
		{name: "trusted peer, empty header", from: tcp("10.0.0.1"), md: forwarded(""), want: "10.0.0.1"},
		{name: "one hop", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7"), want: "198.51.100.7"},
		{name: "trusted peer in IPv6 form", from: tcp("::ffff:10.0.0.1"), md: forwarded("198.51.100.7"), want: "198.51.100.7"},
		{name: "trusted peer with a zone", from: tcp("fe80::1%eth0"), md: forwarded("198.51.100.7"), want: "198.51.100.7"},
		{name: "two hops", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7, 10.0.0.2"), want: "198.51.100.7"},
		{name: "the client lies", from: tcp("10.0.0.1"), md: forwarded("127.0.0.1, 10.9.9.9, 198.51.100.7, 10.0.0.2"), want: "198.51.100.7"},
		{name: "all trusted", from: tcp("10.0.0.1"), md: forwarded("10.0.0.3,10.0.0.2"), want: "10.0.0.3"},
		{name: "several headers", from: tcp("10.0.0.1"), md: forwarded("127.0.0.1", "198.51.100.7", "10.0.0.2"), want: "198.51.100.7"},
		{name: "an empty header last", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7", ""), want: "10.0.0.1"},
		{name: "IPv6 hops", from: tcp("2001:db8:ffff::1"), md: forwarded("2001:db8::7, 2001:db8:ffff:0:0::2"), want: "2001:db8::7"},
		{name: "hop with a zone", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7, fe80::2%25eth0"), want: "198.51.100.7"},
		{name: "client with a zone", from: tcp("10.0.0.1"), md: forwarded("fe90::7%eth0"), want: "fe90::7"},
		{name: "hop in IPv6 form", from: tcp("10.0.0.1"), md: forwarded("::ffff:198.51.100.7, ::ffff:10.0.0.2"), want: "198.51.100.7"},
		{name: "hop in IPv6 form, hexadecimal", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7, ::ffff:a00:2"), want: "198.51.100.7"},
		{name: "spaces and tabs", from: tcp("10.0.0.1"), md: forwarded(" 198.51.100.7\t,  10.0.0.2 "), want: "198.51.100.7"},

		{name: "garbage", from: tcp("10.0.0.1"), md: forwarded("unknown"), want: "10.0.0.1"},
		{name: "garbage before a hop", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7, _hidden, 10.0.0.2"), want: "10.0.0.2"},
		{name: "garbage that no one reads", from: tcp("10.0.0.1"), md: forwarded("\x00, 198.51.100.7"), want: "198.51.100.7"},
		{name: "port", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7:4711"), want: "198.51.100.7"},
		{name: "brackets", from: tcp("10.0.0.1"), md: forwarded("[2001:db8::7]"), want: "2001:db8::7"},
		{name: "brackets and port", from: tcp("10.0.0.1"), md: forwarded("[2001:db8::7]:443, 10.0.0.2:80"), want: "2001:db8::7"},
		{name: "brackets around IPv4", from: tcp("10.0.0.1"), md: forwarded("[198.51.100.7]"), want: "10.0.0.1"},
		{name: "half a bracket", from: tcp("10.0.0.1"), md: forwarded("2001:db8::7], 10.0.0.2"), want: "10.0.0.2"},
		{name: "port that is none", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7:http"), want: "10.0.0.1"},
		{name: "leading zeros", from: tcp("10.0.0.1"), md: forwarded("198.051.100.007"), want: "10.0.0.1"},
		{name: "a network", from: tcp("10.0.0.1"), md: forwarded("198.51.100.0/24"), want: "10.0.0.1"},
		{name: "only commas", from: tcp("10.0.0.1"), md: forwarded(",,,"), want: "10.0.0.1"},
		{name: "a comma last", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7,"), want: "10.0.0.1"},
		{name: "10,000 trusted proxies", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7, " + strings.Repeat("10.0.0.3, ", 10_000) + "10.0.0.2"), want: "10.0.0.3"},
		{name: "10,000 lies", from: tcp("10.0.0.1"), md: forwarded(strings.Repeat("127.0.0.1,", 10_000) + "198.51.100.7"), want: "198.51.100.7"},
		{name: "31 hops", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7" + strings.Repeat(",10.0.0.2", 31)), want: "198.51.100.7"},
		{name: "32 hops", from: tcp("10.0.0.1"), md: forwarded("198.51.100.7" + strings.Repeat(",10.0.0.2", 32)), want: "10.0.0.2"},

		{
			name: "other headers", from: tcp("10.0.0.1"), want: "10.0.0.1",
			md: metadata.Pairs("x-real-ip", "198.51.100.7", "forwarded", "for=198.51.100.7", "x-client-ip", "198.51.100.7"),
		},
		{name: "network in IPv6 form", trusted: []string{"::ffff:10.0.0.0/104"}, from: tcp("10.1.2.3"), md: forwarded("198.51.100.7"), want: "198.51.100.7"},
		{name: "network of one", trusted: []string{"10.0.0.1/32"}, from: tcp("10.0.0.1"), md: forwarded("198.51.100.7, 10.0.0.2"), want: "10.0.0.2"},
		{name: "all of IPv6", trusted: []string{"::/0"}, from: tcp("10.0.0.1"), md: forwarded("198.51.100.7"), want: "10.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			texts := tc.trusted
			if texts == nil {
				texts = proxies
			}
			var trusted []netip.Prefix
			for _, text := range texts {
				trusted = append(trusted, netip.MustParsePrefix(text))
			}
			var want netip.Addr
			if tc.want != "" {
				want = netip.MustParseAddr(tc.want)
			}
			if got := addrOfCall(trusted, tc.from, tc.md); got != want {
				t.Errorf("ClientAddr %s, want %s", got, want)
			}
		})
	}
}

// TestClientAddrOnTheWire takes the peer of a real connection, and has none on a
// client.
func TestClientAddrOnTheWire(t *testing.T) {
	hauberktest.CheckLeaks(t)
	look := func(want netip.Addr) hauberk.Interceptor {
		return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if got := call.ClientAddr(); got != want {
				t.Errorf("ClientAddr on the %s %s, want %s", call.Side(), got, want)
			}
			return next(ctx, call)
		})
	}
	srv := hauberk.Must(hauberk.New(look(netip.MustParseAddr("127.0.0.1")))).NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	conn := hauberk.Must(hauberk.New(look(netip.Addr{}))).ClientConn(listenAndServe(t, srv, listen(t)))
	ctx := metadata.AppendToOutgoingContext(patient(t), "x-forwarded-for", "198.51.100.7")
	if _, err := testpb.NewTestServiceClient(conn).Unary(ctx, &testpb.Request{}); err != nil {
		t.Error(err)
	}
	env := hauberktest.Start(t, hauberktest.Setup{Server: hauberk.Must(hauberk.New(look(netip.Addr{})))})
	wantCode(t, env.Call(ctx).Err, codes.OK)
}

// TestUnixProxies: TrustUnixSockets makes the peers of Unix sockets trusted proxies, and no
// others. The path of a peer is never its address.
func TestUnixProxies(t *testing.T) {
	sent := forwarded("192.0.2.7, 10.0.0.1")
	for _, c := range []struct {
		name  string
		trust bool
		from  net.Addr
		md    metadata.MD
		want  string // "" is the zero Addr
	}{
		{"not trusted", false, &net.UnixAddr{Net: "unix"}, sent, ""},
		{"path like an address", false, &net.UnixAddr{Net: "unix", Name: "10.0.0.1:80"}, sent, ""},
		{"trusted", true, &net.UnixAddr{Net: "unix"}, sent, "192.0.2.7"},
		{"trusted with a path", true, &net.UnixAddr{Net: "unix", Name: "/run/proxy"}, sent, "192.0.2.7"},
		{"trusted, of ServeHTTP", true, textAddr("@"), sent, "192.0.2.7"},
		{"trusted, without the header", true, &net.UnixAddr{Net: "unix"}, nil, ""},
		{"TCP", true, tcp("192.0.2.1"), sent, "192.0.2.1"},
		{"in memory", true, textAddr("bufconn"), sent, ""},
		{"no peer", true, nil, sent, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := hauberk.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, TrustUnixSockets: c.trust}
			var want netip.Addr
			if c.want != "" {
				want = netip.MustParseAddr(c.want)
			}
			if got := addrWith(config, c.from, c.md); got != want {
				t.Errorf("ClientAddr is %s, want %s", got, want)
			}
		})
	}
}

// TestUnixServeHTTP: behind ServeHTTP a peer on a Unix socket chooses the text of its address,
// by the path that it binds its end to. That is neither its address nor decides whether it is
// trusted.
func TestUnixServeHTTP(t *testing.T) {
	for _, c := range []struct {
		name, path string
		trust      bool
		want       string // "" is the zero Addr
	}{
		{"an address", "10.0.0.1:443", false, ""},
		{"an address, trusted", "10.0.0.1:443", true, "192.0.2.7"},
		{"a path, trusted", "proxy.sock", true, "192.0.2.7"},
		{"a path", "proxy.sock", false, ""},
		{"unbound, trusted", "", true, "192.0.2.7"},
		{"unbound", "", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			t.Chdir(t.TempDir())
			got := make(chan netip.Addr, 1)
			config := hauberk.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, TrustUnixSockets: c.trust}
			srv := hauberk.Must(config.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				got <- call.ClientAddr()
				return next(ctx, call)
			}))).NewServer()
			testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
			defer srv.Stop()
			lis, err := net.Listen("unix", "server.sock")
			if err != nil {
				t.Fatal(err)
			}
			web := &http.Server{Handler: srv, Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute}
			web.Protocols.SetUnencryptedHTTP2(true)
			go func() { _ = web.Serve(lis) }()
			defer func() { _ = web.Close() }()
			dial := func(context.Context, string) (net.Conn, error) {
				var local *net.UnixAddr
				if c.path != "" {
					local = &net.UnixAddr{Name: c.path, Net: "unix"}
				}
				return net.DialUnix("unix", local, &net.UnixAddr{Name: "server.sock", Net: "unix"})
			}
			conn, err := grpc.NewClient("passthrough:///unix",
				grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			ctx := metadata.AppendToOutgoingContext(patient(t), "x-forwarded-for", "192.0.2.7")
			if _, err := testpb.NewTestServiceClient(conn).Unary(ctx, &testpb.Request{}); err != nil {
				t.Fatal(err)
			}
			var want netip.Addr
			if c.want != "" {
				want = netip.MustParseAddr(c.want)
			}
			if addr := <-got; addr != want {
				t.Errorf("ClientAddr is %s, want %s", addr, want)
			}
		})
	}
}

// TestTrustedProxies: New reports an invalid network.
func TestTrustedProxies(t *testing.T) {
	_, err := hauberk.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), {}}}.New()
	if err == nil || !strings.Contains(err.Error(), "TrustedProxies[1]") {
		t.Errorf("New: %v", err)
	}
}

// The forms of an entry with a port or with brackets, described in another way.
var (
	withBrackets = regexp.MustCompile(`^\[([^\[\]]*)\](?::(\d+))?$`)
	withPort     = regexp.MustCompile(`^([^:\[\]]*):(\d+)$`)
)

// modelHop reads an entry of x-forwarded-for by these forms.
func modelHop(entry string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(entry); err == nil {
		return a, true
	}
	isPort := func(text string) bool {
		_, err := strconv.ParseUint(text, 10, 16)
		return err == nil
	}
	if m := withBrackets.FindStringSubmatch(entry); m != nil {
		a, err := netip.ParseAddr(m[1])
		return a, err == nil && a.Is6() && (m[2] == "" || isPort(m[2]))
	}
	if m := withPort.FindStringSubmatch(entry); m != nil {
		a, err := netip.ParseAddr(m[1])
		return a, err == nil && a.Is4() && isPort(m[2])
	}
	return netip.Addr{}, false
}

// FuzzForwarded compares ClientAddr with a model: who is not trusted cannot name
// an address but by having it.
func FuzzForwarded(f *testing.F) {
	for _, line := range []string{"0.0.0.0:0", "[2001:db8::7]:443, [fe80::1%eth0]", "[10.0.0.2]:80", "::1:80", "", "198.51.100.7, 10.0.0.2", "10.0.0.3,10.0.0.2", "unknown, 10.0.0.2", "fe80::1%eth0,::ffff:10.0.0.1", ",", "10.0.0.2,"} {
		f.Add("10.0.0.1", line, "10.0.0.4", true)
		f.Add("192.0.2.1", line, "198.51.100.8", false)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	trusts := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(n netip.Prefix) bool { return n.Contains(a) })
	}
	f.Fuzz(func(t *testing.T, from, first, second string, twoLines bool) {
		addr, err := netip.ParseAddr(from)
		if err != nil {
			return
		}
		lines := []string{first}
		if twoLines {
			lines = append(lines, second)
		}
		// The hops as they can vouch for each other: the peer, which the connection
		// vouches for, then what a trusted hop has written, as far as that goes.
		vouched := []netip.Addr{addr.Unmap().WithZone("")}
		entries := strings.Split(strings.Join(lines, ","), ",")
		for _, entry := range slices.Backward(entries) {
			hop, ok := modelHop(strings.TrimSpace(entry))
			if !ok || !trusts(vouched[len(vouched)-1]) || len(vouched) > 32 {
				break
			}
			vouched = append(vouched, hop.Unmap().WithZone(""))
		}
		got := addrOfCall(trusted, tcp(addr.String()), forwarded(lines...))
		if want := vouched[len(vouched)-1]; got != want {
			t.Errorf("ClientAddr %s, want %s", got, want)
		}
		if i := slices.Index(vouched, got); i > 0 && slices.ContainsFunc(vouched[:i], func(a netip.Addr) bool { return !trusts(a) }) {
			t.Errorf("ClientAddr %s was named by a hop that is not trusted", got)
		}
	})
}
