package authz_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"testing"

	"google.golang.org/grpc"
	grpcauthz "google.golang.org/grpc/authz"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// requestsPerPolicy is how many requests a generated policy decides on.
const requestsPerPolicy = 500

func requests() int {
	if testing.Short() {
		return 50_000
	}
	return differentialRequests
}

// TestDifferential compares the verdicts on generated requests under generated policies with
// those of the model in model_test.go.
func TestDifferential(t *testing.T) {
	t.Parallel()
	g := generator{testseed.Rand(t, 0)}
	clock := authz.WithClock(hauberktest.NewClock().Now)
	allowed, n := 0, requests()
	for range n / requestsPerPolicy {
		p := authz.Policy{Allow: g.rules(1+g.IntN(6), false), Deny: g.rules(g.IntN(4), true)}
		serve := outcome(t, p, clock)
		for range requestsPerPolicy {
			r := g.request()
			want, err := modelAllows(p, r), serve(r)
			if (err == nil) != want || err != nil && status.Code(err) != codes.PermissionDenied {
				t.Fatalf("got %v, want %t\npolicy %s\nrequest %+v, identity %+v", err, want, show(p), r, r.id)
			}
			if want {
				allowed++
			}
		}
	}
	t.Logf("%d requests, %d of them allowed, 0 differences", n, allowed)
	if allowed < n/20 || allowed > n*19/20 {
		t.Errorf("%d of %d requests are allowed: the generator is one-sided", allowed, n)
	}
}

// outcome returns a function that serves a call and returns the outcome within the process:
// to make a status for the client costs more than the verdict.
func outcome(t *testing.T, p authz.Policy, opts ...authz.Option) func(r request) error {
	t.Helper()
	var err error
	response := &testpb.Response{}
	keep := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err = next(ctx, call)
		return call.Reply(response)
	})
	serve := server(t, keep, login{}, authz.New(authz.Config{Policy: p}, opts...))
	return func(r request) error {
		if err := serve(r); err != nil {
			t.Fatal(err)
		}
		return err
	}
}

func show(v any) string {
	text, _ := json.MarshalIndent(v, "", " ")
	return string(text)
}

// generator generates policies and requests from small sets, so that they meet.
type generator struct{ *rand.Rand }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) some(of ...string) []string {
	var out []string
	for range 1 + g.IntN(3) {
		out = append(out, g.one(of...))
	}
	return out
}

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g generator) rules(n int, deny bool) []authz.Rule {
	rules := make([]authz.Rule, n)
	whens := slices.Sorted(maps.Keys(modelWhens))
	for i := range rules {
		r := &rules[i]
		if g.chance(20) {
			r.Paths = g.some("*", "/shop.v1.Cart/Get", "/shop.*", "*/Get", "/shop.v1.Cart/*")
		} else {
			r.Methods = g.some("*", "shop.v1.Cart/Get", "/shop.v1.Cart/Put", "shop.v1.Cart/*", "shop.*", "shop.v1.*", "shop.v1.Orders/*")
		}
		if g.chance(20) {
			r.Subjects = g.some("alice", "bob", "al*", "*b", "*")
		}
		if g.chance(10) {
			r.Issuers = g.some("issuer", "other", "*")
		}
		if g.chance(10) {
			r.Tenants = g.some("acme", "umbrella", "*")
		}
		if g.chance(15) {
			r.Scopes = g.some("read", "write", "r*")
		}
		if g.chance(15) {
			r.Roles = g.some("admin", "buyer", "*er")
		}
		for g.chance(20) {
			r.Metadata = append(r.Metadata, authz.MetadataMatch{
				Key: g.one("x-env", "X-Env", "x-debug", "y-bin"), Values: g.some("prod", "test", "*", "pro*", "prod,test", ""),
			})
		}
		if g.chance(15) {
			r.ClientAddrs = g.some("10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "10.1.0.0/16", "2001:db8::7")
		}
		if g.chance(25) {
			r.When = g.one(whens...)
		}
		r.AbsentPasses = deny && g.chance(30)
	}
	return rules
}

func (g generator) request() request {
	r := request{
		method: g.one("/shop.v1.Cart/Get", "/shop.v1.Cart/Put", "/shop.v1.Orders/Get", "/shop.v2.Cart/Get", "/other.v1.Cart/Get", "/shop.v1.Carts/Get", "/shop.v1.Cart/GetAll"),
		addr:   g.one("", "10.1.2.3", "10.2.2.3", "2001:db8::7", "2001:db9::7", "::ffff:10.1.2.3"),
		noAddr: g.chance(10), md: metadata.MD{},
	}
	for _, key := range []string{"x-env", "x-debug", "y-bin"} {
		for g.chance(40) {
			r.md.Append(key, g.one("prod", "test", "", "production", "prod,test", "x"))
		}
	}
	if g.chance(85) {
		r.id = &hauberk.Identity{
			Subject: g.one("alice", "bob", "alicia", "notalice", "ab"), Issuer: g.one("", "issuer", "issuers"),
			Tenant: g.one("", "acme", "umbrella", "acm"), Claims: map[string]any{},
		}
		for g.chance(50) {
			r.id.Scopes = append(r.id.Scopes, g.one("read", "write", "admin", "reader"))
		}
		for g.chance(50) {
			r.id.Roles = append(r.id.Roles, g.one("admin", "buyer", "not-admin", "adminX"))
		}
		if g.chance(60) {
			r.id.Claims["level"] = []any{2.0, 3.0, "4", nil}[g.IntN(4)]
		}
	}
	return r
}

// TestDifferentialGRPC compares the verdicts under imported policies with those of grpc-go's
// own package. Its requests have at most one value for each key: see ParseGRPC.
func TestDifferentialGRPC(t *testing.T) {
	t.Parallel()
	g := generator{testseed.Rand(t, 0)}
	base := callContext(t)
	allowed, n := 0, requests()/4 // a verdict of grpc-go costs several times as much
	for range n / requestsPerPolicy {
		source := g.grpcPolicy()
		theirs, err := grpcauthz.NewStatic(source)
		if err != nil {
			t.Fatalf("%v: %s", err, source)
		}
		imported, err := authz.ParseGRPC([]byte(source))
		if err != nil {
			t.Fatalf("%v: %s", err, source)
		}
		ours := outcome(t, imported)
		for range requestsPerPolicy {
			r := g.grpcRequest()
			ctx := grpc.NewContextWithServerTransportStream(withValues{base, r.context()}, methodStream(r.method))
			_, want := theirs.UnaryInterceptor(ctx, nil, nil, func(context.Context, any) (any, error) { return nil, nil })
			if got := ours(r); status.Code(got) != status.Code(want) {
				t.Fatalf("got %v, want %v\npolicy %s\nrequest %+v", got, want, source, r)
			}
			if want == nil {
				allowed++
			}
		}
	}
	t.Logf("%d requests, %d of them allowed, 0 differences", n, allowed)
	if allowed < n/20 || allowed > n*19/20 {
		t.Errorf("%d of %d requests are allowed: the generator is one-sided", allowed, n)
	}
}

// callContext returns the context of a real call, which grpc-go's package needs: it looks at
// the connection.
func callContext(t testing.TB) context.Context {
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

func (g generator) grpcPolicy() string {
	p := map[string]any{"name": "policy", "allow_rules": g.grpcRules(1 + g.IntN(4))}
	if g.chance(70) {
		p["deny_rules"] = g.grpcRules(1 + g.IntN(3))
	}
	return show(p)
}

func (g generator) grpcRules(n int) []any {
	rules := make([]any, n)
	for i := range rules {
		source, request := map[string]any{}, map[string]any{}
		if g.chance(40) {
			source["principals"] = g.some("*", "", "spiffe://a", "spiffe://*", "*.example", "a.example", "CN=c", "**", "s*a")
		}
		if g.chance(60) {
			request["paths"] = g.some("*", "/shop.v1.Cart/Get", "/shop.v1.*", "/shop.v1.Cart/*", "*/Get", "/shop*", "/shop.v1.*/Get", `/shop.v1\Cart*`)
		}
		headers := []any{}
		for g.chance(30) {
			headers = append(headers, map[string]any{
				"key":    g.one("x-env", "X-Env", "x-debug", "user-agent"),
				"values": g.some("*", "prod", "pro*", "*d", "", "a*b", `\*`, "**", "*a*"),
			})
		}
		if len(headers) > 0 {
			request["headers"] = headers
		}
		rules[i] = map[string]any{"name": fmt.Sprint("rule ", i), "source": source, "request": request}
	}
	return rules
}

func (g generator) grpcRequest() request {
	r := request{method: g.one("/shop.v1.Cart/Get", "/shop.v1.Cart/Put", "/shop.v1.Orders/Get", "/shop.v2.Cart/Get", "/shop.v1.Cart/Get/Get", "/other/Get"), md: metadata.MD{}}
	for _, key := range []string{"x-env", "x-debug", "user-agent"} {
		if g.chance(60) {
			r.md.Set(key, g.one("prod", "pro", "production", "d", "", "*", `\*`, "a*b", "axb", "*ab", "*"))
		}
	}
	var cert x509.Certificate
	if g.chance(40) {
		for _, text := range g.some("spiffe://a", "spiffe://ab", "https://x.example") {
			u, _ := url.Parse(text)
			cert.URIs = append(cert.URIs, u)
		}
	}
	if g.chance(40) {
		cert.DNSNames = g.some("a.example", "b.example", "example")
	}
	cert.Subject = pkix.Name{CommonName: g.one("c", "cc", "")}
	switch g.IntN(5) {
	case 0:
	case 1:
		r.auth = credentials.TLSInfo{}
	default:
		r.auth = credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{&cert}}}
	}
	return r
}
