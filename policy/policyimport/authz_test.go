package policyimport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"testing"

	"google.golang.org/grpc"
	grpcauthz "google.golang.org/grpc/authz"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/internal/offline"
	"github.com/hauberk-rpc/hauberk/policy/policyimport"
)

// The rules of grpc-go's authorization policy.
func ExampleAuthz() {
	file, _, err := policyimport.Authz([]byte(`{
		"name": "shop",
		"deny_rules": [{"name": "banned", "request": {"headers": [{"key": "X-Client", "values": ["bad*"]}]}}],
		"allow_rules": [{"name": "read", "request": {"paths": ["/shop.v1.Cart/Get"]}}]
	}`))
	fmt.Print(string(file))
	fmt.Println(err)
	// Output:
	// # of several values of a header each one must match in an allow rule, and any one in a deny rule; grpc-go compares them joined by commas
	// version: 1
	// server:
	//   - use: authz
	//     rules:
	//       - name: "shop_banned"
	//         deny: ["*"]
	//         metadata:
	//           - {key: "x-client", values: ["bad*"]}
	//         absent_passes: true
	//       - name: "shop_read"
	//         allow_paths: ["/shop.v1.Cart/Get"]
	// <nil>
}

// An imported policy decides random calls as grpc-go does. The calls have one value for each key: authz.ParseGRPC says
// what differs for several.
func TestAuthzAsGRPC(t *testing.T) {
	r := testseed.Rand(t, 0)
	base := callContext(t)
	allowed, calls := 0, 0
	for range 150 {
		source := randomPolicy(r)
		theirs, err := grpcauthz.NewStatic(source)
		if err != nil {
			t.Fatalf("%v: %s", err, source)
		}
		file, _, err := policyimport.Authz([]byte(source))
		if err != nil {
			t.Fatalf("%v: %s", err, source)
		}
		p, err := policy.Parse("policy.yaml", file, policy.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			method, ctx := randomCall(r)
			theirCtx := grpc.NewContextWithServerTransportStream(withValues{base, ctx}, methodStream(method))
			_, want := theirs.UnaryInterceptor(theirCtx, nil, nil, func(context.Context, any) (any, error) { return nil, nil })
			got := offline.Serve(ctx, p.Server(), offline.Call{
				Method: method, Kind: hauberk.Unary, Request: &emptypb.Empty{}, Response: &emptypb.Empty{},
				Handle: func(context.Context) error { return nil },
			})
			if status.Code(got) != status.Code(want) {
				t.Fatalf("%s ends with %v; want %v\n%s\n%s", method, got, want, source, file)
			}
			calls++
			if want == nil {
				allowed++
			} else if status.Code(want) != codes.PermissionDenied {
				t.Fatal(want)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if allowed < calls/20 || allowed > calls*19/20 {
		t.Errorf("%d of %d calls are allowed: the generator is one-sided", allowed, calls)
	}
}

func one(r *rand.Rand, all ...string) string { return all[r.IntN(len(all))] }

func some(r *rand.Rand, all ...string) (list []string) {
	for range 1 + r.IntN(2) {
		list = append(list, one(r, all...))
	}
	return list
}

func randomPolicy(r *rand.Rand) string {
	p := map[string]any{"name": "policy", "allow_rules": randomRules(r, 1+r.IntN(3))}
	if r.IntN(2) == 0 {
		p["deny_rules"] = randomRules(r, 1+r.IntN(2))
	}
	text, _ := json.Marshal(p)
	return string(text)
}

func randomRules(r *rand.Rand, n int) []any {
	rules := make([]any, n)
	for i := range rules {
		source, request := map[string]any{}, map[string]any{}
		if r.IntN(3) == 0 {
			source["principals"] = some(r, "*", "", "spiffe://a", "spiffe://*", "*.example", "a.example", "s*a")
		}
		if r.IntN(3) > 0 {
			request["paths"] = some(r, "*", "/shop.v1.Cart/Get", "/shop.v1.*", "*/Get", "/shop.v1.*/Get", `/shop.v1\Cart*`)
		}
		if r.IntN(3) == 0 {
			request["headers"] = []any{map[string]any{
				"key":    one(r, "x-env", "X-Env", "user-agent"),
				"values": some(r, "*", "prod", "pro*", "*d", "", "a*b", `\*`, "**", "a\u2028\u007f\u0085#: b"),
			}}
		}
		rules[i] = map[string]any{"name": fmt.Sprintf("rule %d: #", i), "source": source, "request": request}
	}
	return rules
}

func randomCall(r *rand.Rand) (method string, ctx context.Context) {
	md := metadata.MD{}
	for _, key := range []string{"x-env", "user-agent"} {
		if r.IntN(3) > 0 {
			md.Set(key, one(r, "prod", "production", "d", "", "*", `\*`, "a*b", "axb", "a\u2028\u007f\u0085#: b"))
		}
	}
	from := &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}
	cert := &x509.Certificate{}
	if r.IntN(2) == 0 {
		u, _ := url.Parse(one(r, "spiffe://a", "spiffe://ab", "https://x.example"))
		cert.URIs = append(cert.URIs, u)
	}
	if r.IntN(2) == 0 {
		cert.DNSNames = some(r, "a.example", "b.example", "example")
	}
	switch r.IntN(4) {
	case 0:
	case 1:
		from.AuthInfo = credentials.TLSInfo{}
	default:
		from.AuthInfo = credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}}
	}
	ctx = peer.NewContext(metadata.NewIncomingContext(context.Background(), md), from)
	return one(r, "/shop.v1.Cart/Get", "/shop.v1.Cart/Put", "/shop.v2.Cart/Get", "/other.v1.A/Get"), ctx
}

// callContext returns the context of a real call: grpc-go's package looks at the connection.
func callContext(t *testing.T) context.Context {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	contexts := make(chan context.Context, 1)
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		contexts <- ctx
		return hauberktest.Echo(ctx, s)
	}})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testpb.NewTestServiceClient(conn).Unary(t.Context(), &testpb.Request{}); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	srv.Stop()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return context.WithoutCancel(<-contexts)
}

// withValues is a context with the values of a second one first.
type withValues struct {
	context.Context

	first context.Context
}

func (c withValues) Value(key any) any {
	if v := c.first.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// methodStream is a transport stream that has only a method.
type methodStream string

func (m methodStream) Method() string             { return string(m) }
func (methodStream) SetHeader(metadata.MD) error  { return nil }
func (methodStream) SendHeader(metadata.MD) error { return nil }
func (methodStream) SetTrailer(metadata.MD) error { return nil }

// What is imported without an error is a valid policy file.
func FuzzAuthz(f *testing.F) {
	f.Add([]byte(`{"name": "p", "allow_rules": [{"name": "r", "source": {"principals": ["a"]}}],
		"audit_logging_options": {"audit_condition": "ON_DENY"}}`))
	f.Add([]byte(`{"name": "p", "allow_rules": [{"name": "r", "request": {"headers": [{"key": "a", "values": ["b"]}]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, _, err := policyimport.Authz(data)
		if err == nil {
			valid(t, file)
		}
	})
}

func valid(t *testing.T, file []byte) {
	t.Helper()
	p, err := policy.Parse("policy.yaml", file)
	if err != nil {
		t.Fatalf("%v of\n%s", err, file)
	}
	_ = p.Close()
}
