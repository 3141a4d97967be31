package authzext_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
)

// serveCall serves a call without a network on the server's side.
func serveCall(t testing.TB, config hauberk.Config, ctx context.Context, interceptors ...hauberk.Interceptor) error { //nolint:revive // ctx is the call's
	t.Helper()
	chain, err := config.New(interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return hauberktest.Direct{}.Server(chain)(ctx)
}

func peerAt(addr net.Addr, info credentials.AuthInfo) *peer.Peer {
	return &peer.Peer{Addr: addr, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}, AuthInfo: info}
}

// The check has everything that the call has, as Envoy sends it.
func TestRequest(t *testing.T) {
	svc := always(allowed())
	at := time.Date(2026, 11, 27, 12, 0, 0, 5, time.UTC)
	x := ext(t, svc, authzext.Config{
		Identity: "hauberk.identity", ContextExtensions: map[string]string{"virtual_host": "shop", "bad": "\xff"},
	}, authzext.WithClock(func() time.Time { return at }))
	ctx := peer.NewContext(t.Context(), peerAt(&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 1234},
		credentials.TLSInfo{State: tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{DNSNames: []string{"web.example"}}}}}}))
	ctx = metadata.NewIncomingContext(ctx, metadata.MD{
		":authority": {"shop.example"}, "x-a": {"1", "2"}, "x-b-bin": {"\x01\x02", "\x03"}, "authorization": {"Bearer t"}, "x-bad": {"caf\xe9"},
		"x-login": {"alice"}, "x-envoy-auth-partial-body": {"true"}, "x-request-id": {"id-1"},
	})
	if err := serveCall(t, hauberk.Config{}, ctx, login{}, x); err != nil {
		t.Fatal(err)
	}
	want := new(authv3.CheckRequest)
	err := protojson.Unmarshal([]byte(`{"attributes": {
		"source": {"address": {"socketAddress": {"address": "192.0.2.1", "portValue": 1234}}, "principal": "web.example"},
		"destination": {"address": {"socketAddress": {"address": "127.0.0.1", "portValue": 443}}},
		"request": {"time": "2026-11-27T12:00:00.000000005Z", "http": {
			"id": "id-1", "method": "POST", "path": "/hauberk.test.v1.TestService/Unary", "host": "shop.example", "scheme": "https",
			"protocol": "HTTP/2", "size": -1, "headers": {
				":authority": "shop.example", ":method": "POST", ":path": "/hauberk.test.v1.TestService/Unary", ":scheme": "https",
				"x-a": "1,2", "x-b-bin": "AQI,Aw", "authorization": "Bearer t", "x-bad": "caf!", "x-login": "alice", "x-request-id": "id-1"
			}}},
		"contextExtensions": {"virtual_host": "shop", "bad": "!"},
		"metadataContext": {"filterMetadata": {"hauberk.identity": {
			"subject": "alice", "issuer": "iss", "tenant": "acme", "method": "jwt", "roles": ["buyer", "!"]}}}
	}}`), want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, svc.last.Load(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if err := svc.last.Load().ValidateAll(); err != nil {
		t.Error(err)
	}
}

// The service receives the address that the trusted proxies report, and the port if the client is
// the peer.
func TestSource(t *testing.T) {
	proxied := hauberk.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for name, test := range map[string]struct {
		config hauberk.Config
		peer   *peer.Peer
		want   string
	}{
		"peer":       {hauberk.Config{}, peerAt(&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 7}, nil), `{"address": {"socketAddress": {"address": "2001:db8::1", "portValue": 7}}}`},
		"untrusted":  {hauberk.Config{}, peerAt(&net.TCPAddr{IP: net.ParseIP("10.0.0.1"), Port: 7}, nil), `{"address": {"socketAddress": {"address": "10.0.0.1", "portValue": 7}}}`},
		"proxy":      {proxied, peerAt(&net.TCPAddr{IP: net.ParseIP("10.0.0.1"), Port: 7}, nil), `{"address": {"socketAddress": {"address": "198.51.100.7", "portValue": 0}}}`},
		"unix":       {hauberk.Config{}, peerAt(&net.UnixAddr{Name: "/run/x.sock", Net: "unix"}, nil), `{"address": {"pipe": {"path": "/run/x.sock"}}}`},
		"no name":    {hauberk.Config{}, peerAt(&net.UnixAddr{Net: "unix"}, nil), `{}`},
		"no address": {hauberk.Config{}, &peer.Peer{}, `{}`},
		"no peer":    {hauberk.Config{}, nil, `{}`},
	} {
		svc := always(allowed())
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-forwarded-for", "198.51.100.7"))
		if test.peer != nil {
			ctx = peer.NewContext(ctx, test.peer)
		}
		if err := serveCall(t, test.config, ctx, ext(t, svc, authzext.Config{})); err != nil {
			t.Fatal(err)
		}
		want := new(authv3.AttributeContext_Peer)
		if err := protojson.Unmarshal([]byte(test.want), want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, svc.last.Load().GetAttributes().GetSource(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The principal is the first name of a verified certificate.
func TestPrincipal(t *testing.T) {
	spiffe := &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/web"}
	full := &x509.Certificate{URIs: []*url.URL{spiffe, {Scheme: "other"}}, DNSNames: []string{"web.example"}}
	for want, info := range map[string]credentials.AuthInfo{
		"spiffe://example.org/web": verified(full),
		"web.example":              verified(&x509.Certificate{DNSNames: []string{"web.example", "b"}}),
		"CN=web,O=Example":         verified(&x509.Certificate{Subject: pkix.Name{CommonName: "web", Organization: []string{"Example"}}}),
		"":                         credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{full}}},
	} {
		svc := always(allowed())
		ctx := peer.NewContext(t.Context(), peerAt(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, info))
		if err := serveCall(t, hauberk.Config{}, ctx, ext(t, svc, authzext.Config{})); err != nil {
			t.Fatal(err)
		}
		if got := svc.last.Load().GetAttributes().GetSource().GetPrincipal(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func verified(cert *x509.Certificate) credentials.TLSInfo {
	return credentials.TLSInfo{State: tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}},
	}}
}

// The operator chooses which metadata the service receives.
func TestHeaders(t *testing.T) {
	for name, test := range map[string]struct {
		config authzext.Config
		want   string
	}{
		"all":     {authzext.Config{}, ":authority :method :path :scheme authorization content-type user-agent x-a x-b"},
		"none":    {authzext.Config{Headers: []string{}}, ""},
		"some":    {authzext.Config{Headers: []string{"X-*", "authorization", ":path"}, WithoutHeaders: []string{"x-b"}}, ":path authorization x-a"},
		"without": {authzext.Config{WithoutHeaders: []string{":*", "Authorization", "user-agent", "content-type"}}, "x-a x-b"},
	} {
		svc := always(allowed())
		s := start(t, hauberktest.Case{}, ext(t, svc, test.config))
		wantCode(t, s.Call(with(t.Context(), "x-a", "1", "x-b", "2", "authorization", "Bearer t")).Err, codes.OK)
		sent := svc.http().GetHeaders()
		for key := range strings.FieldsSeq(test.want) {
			if _, ok := sent[key]; !ok {
				t.Errorf("%s: %s is not sent", name, key)
			}
			delete(sent, key)
		}
		delete(sent, "grpc-accept-encoding") // as grpc-go's client chooses
		if len(sent) > 0 {
			t.Errorf("%s: %v is sent too", name, sent)
		}
	}
}

// The first message is sent in protobuf, and the handler receives every message.
func TestBody(t *testing.T) {
	short, err := proto.Marshal(&testpb.Request{Text: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	prefix := "\x00\x00\x00\x00" + string(rune(len(short))) // gRPC's framing
	for name, test := range map[string]struct {
		body    authzext.Body
		want    codes.Code
		raw     string
		partial string
	}{
		"whole":     {authzext.Body{MaxBytes: len(short)}, codes.OK, prefix + string(short), "false"},
		"partial":   {authzext.Body{MaxBytes: 3, AllowPartial: true}, codes.OK, prefix + string(short[:3]), "true"},
		"too large": {authzext.Body{MaxBytes: len(short) - 1}, codes.ResourceExhausted, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				svc := always(allowed())
				s := start(t, c, ext(t, svc, authzext.Config{Body: &test.body, FailOpen: true, Headers: []string{}}))
				out := s.Call(with(t.Context(), "x-envoy-auth-partial-body", "maybe"), "hello", "second")
				wantCode(t, out.Err, test.want)
				if test.want != codes.OK {
					if svc.checks.Load() != 0 || s.calls.Load() != 0 || hauberk.Reason(out.Err) != authzext.ReasonTooLarge {
						t.Errorf("%d checks, %d calls, %v", svc.checks.Load(), s.calls.Load(), out.Err)
					}
					return
				}
				if http := svc.http(); string(http.GetRawBody()) != test.raw || http.GetSize() != int64(len(prefix)+len(short)) ||
					http.GetHeaders()["x-envoy-auth-partial-body"] != test.partial {
					t.Errorf("the service receives %v", http)
				}
				if texts := strings.Join(out.Texts(), ","); !strings.HasPrefix(texts, "echo:hello") || c.Kind == hauberk.Bidi && texts != "echo:hello,echo:second" {
					t.Errorf("responses %q", texts)
				}
			})
		})
	}
}

// A stream without a message is checked without a body.
func TestNoMessage(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		svc := always(deny(403))
		s := start(t, hauberktest.Case{Kind: kind}, ext(t, svc, authzext.Config{Body: &authzext.Body{MaxBytes: 1}}))
		stream := open(t, s, kind)
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.PermissionDenied)
		if svc.checks.Load() != 1 || len(svc.http().GetRawBody()) > 0 {
			t.Errorf("%d checks, %v", svc.checks.Load(), svc.http())
		}
	}
}

// A call that is larger than a check may be is rejected, with and without FailOpen.
func TestTooLarge(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		svc := always(allowed())
		s := start(t, c, ext(t, svc, authzext.Config{MaxRequest: 4 << 10, FailOpen: true}))
		out := s.Call(with(t.Context(), "x-a", strings.Repeat("a", 4<<10)))
		wantCode(t, out.Err, codes.ResourceExhausted)
		if svc.checks.Load() != 0 || s.calls.Load() != 0 || hauberk.Reason(out.Err) != authzext.ReasonTooLarge {
			t.Errorf("%d checks, %d calls, %v", svc.checks.Load(), s.calls.Load(), out.Err)
		}
	})
}

// A request that cannot be read or is no protobuf ends the call without a check.
func TestUnreadableRequest(t *testing.T) {
	svc := always(allowed())
	x := ext(t, svc, authzext.Config{Body: &authzext.Body{MaxBytes: 1 << 10}, FailOpen: true})
	chain := hauberk.Must(hauberk.New(x))
	for _, kind := range kinds {
		err := hauberktest.Direct{Kind: kind, Decode: func(any) error { return hauberk.Reject(codes.Aborted, "STOP", "stop") }}.Server(chain)(t.Context())
		wantCode(t, err, codes.Aborted)
	}
	_, err := chain.UnaryServerInterceptor()(t.Context(), "text", &grpc.UnaryServerInfo{FullMethod: hauberktest.FullMethod(hauberk.Unary)},
		func(context.Context, any) (any, error) { return new(testpb.Response), nil })
	wantCode(t, err, codes.Unavailable)
	if svc.checks.Load() != 0 {
		t.Errorf("%d checks", svc.checks.Load())
	}
}
