package hauberk_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// shop is what a server reports about its services.
var shop = map[string]grpc.ServiceInfo{
	"shop.v1.Cart":          {Methods: []grpc.MethodInfo{{Name: "Watch", IsServerStream: true}, {Name: "Get"}}},
	"grpc.health.v1.Health": {Methods: []grpc.MethodInfo{{Name: "Check"}}},
	"shop.v1.Empty":         {},
}

const (
	healthMethods = "grpc.health.v1.Health/*"
	getMethod     = "/shop.v1.Cart/Get"
	watchMethod   = "/shop.v1.Cart/Watch"
	authnTail     = ": authenticate them or list them in hauberk.Config.Public"
)

func TestCoverage(t *testing.T) {
	logging := phase(hauberk.PhaseLogging, "logging")
	cases := map[string]struct {
		interceptors []hauberk.Interceptor
		want         string // of String
		err          string // of Err, between "… but not those of " and the advice
		public       string
	}{
		"no interceptors": {nil, `this chain has no authentication
/grpc.health.v1.Health/Check: nothing
/shop.v1.Cart/Get: nothing
/shop.v1.Cart/Watch: nothing
`, "", ""},
		"no authentication": {[]hauberk.Interceptor{logging, hauberk.For("shop.v1.Cart/Get", limiterOf(nil))}, `this chain has no authentication
/grpc.health.v1.Health/Check: logging (public)
/shop.v1.Cart/Get: logging limit
/shop.v1.Cart/Watch: logging
`, "", healthMethods},
		"all authenticated": {[]hauberk.Interceptor{logging, authn("authn")}, `/grpc.health.v1.Health/Check: logging authn
/shop.v1.Cart/Get: logging authn
/shop.v1.Cart/Watch: logging authn
`, "", ""},
		"the rest is public": {[]hauberk.Interceptor{logging, hauberk.Except(healthMethods, authn("jwt"))}, `/grpc.health.v1.Health/Check: logging (public)
/shop.v1.Cart/Get: logging jwt
/shop.v1.Cart/Watch: logging jwt
`, "", healthMethods},
		"one method is open": {[]hauberk.Interceptor{logging, hauberk.Except("shop.v1.Cart/Watch", authn("jwt"))}, `/grpc.health.v1.Health/Check: logging jwt
/shop.v1.Cart/Get: logging jwt
/shop.v1.Cart/Watch: logging (UNGUARDED)
`, "/shop.v1.Cart/Watch", ""},
		"most methods are open": {[]hauberk.Interceptor{hauberk.For("shop.v1.Cart/Get", authn("jwt"))}, `/grpc.health.v1.Health/Check: (UNGUARDED)
/shop.v1.Cart/Get: jwt
/shop.v1.Cart/Watch: (UNGUARDED)
`, "/grpc.health.v1.Health/Check, /shop.v1.Cart/Watch", ""},
		"each by its own": {[]hauberk.Interceptor{hauberk.For("shop.v1.Cart/*", authn("jwt")), hauberk.For("*", hauberk.Except("shop.v1.Cart/*", authn("mtls")))}, `/grpc.health.v1.Health/Check: mtls
/shop.v1.Cart/Get: jwt
/shop.v1.Cart/Watch: jwt
`, "", ""},
		"in shadow": {[]hauberk.Interceptor{logging, hauberk.Shadow(authn("authn"))}, `this chain has no authentication
/grpc.health.v1.Health/Check: logging
/shop.v1.Cart/Get: logging
/shop.v1.Cart/Watch: logging
`, "", ""},
		"one of two in shadow": {[]hauberk.Interceptor{hauberk.Shadow(authn("new")), hauberk.For("shop.v1.Cart/*", authn("old"))}, `/grpc.health.v1.Health/Check: (public)
/shop.v1.Cart/Get: old
/shop.v1.Cart/Watch: old
`, "", healthMethods},
		"under a condition": {[]hauberk.Interceptor{hauberk.When(sometimes, logging, authn("authn"))}, `/grpc.health.v1.Health/Check: (UNGUARDED)
/shop.v1.Cart/Get: (UNGUARDED)
/shop.v1.Cart/Watch: (UNGUARDED)
`, "/grpc.health.v1.Health/Check, /shop.v1.Cart/Get, /shop.v1.Cart/Watch", ""},
		"all public": {[]hauberk.Interceptor{hauberk.For("shop.v1.Cart/Get", authn("authn"))}, `/grpc.health.v1.Health/Check: (public)
/shop.v1.Cart/Get: authn (public)
/shop.v1.Cart/Watch: (public)
`, "", "*"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var config hauberk.Config
			if c.public != "" {
				config.Public = []string{c.public}
			}
			cov := hauberk.Must(config.New(c.interceptors...)).Coverage(shop)
			if got := cov.String(); got != c.want {
				t.Errorf("coverage:\n%s\nwant:\n%s", got, c.want)
			}
			err := cov.Err()
			switch want := "hauberk: the chain authenticates calls, but not those of " + c.err + authnTail; {
			case c.err == "" && err != nil:
				t.Errorf("Err is %v, want nil", err)
			case c.err != "" && (err == nil || err.Error() != want):
				t.Errorf("Err is %v, want %s", err, want)
			}
		})
	}
}

func TestCoverageRows(t *testing.T) {
	chain := hauberk.Must(hauberk.Config{Public: []string{healthMethods}}.New(
		phase(hauberk.PhaseLogging, "logging"),
		hauberk.Shadow(authn("shadow")),
		hauberk.For("shop.v1.Cart/*", authn("authn")),
	))
	cov := chain.Coverage(shop)
	equal(t, "interceptors", cov.Interceptors, []string{"logging", "authn"})
	if !cov.Authenticates || len(cov.Rows) != 3 {
		t.Fatalf("coverage %+v", cov)
	}
	for _, row := range cov.Rows {
		cart := strings.HasPrefix(row.Method, "/shop.v1.Cart/")
		if len(row.Runs) != 2 || !row.Runs[0] || row.Runs[1] != cart || row.Authenticated != cart || row.Public == cart {
			t.Errorf("row %+v", row)
		}
	}
	if rows := chain.Coverage(nil).Rows; len(rows) != 0 {
		t.Errorf("rows of no services: %+v", rows)
	}
}

// TestServeRejectsOpenMethods starts servers with reflection and health as well as
// their service.
func TestServeRejectsOpenMethods(t *testing.T) {
	cases := map[string]struct {
		interceptors []hauberk.Interceptor
		public       []string
		open         []string // services whose methods the error names
	}{
		"nothing public": {
			[]hauberk.Interceptor{hauberk.For(testService+"/*", authn("authn"))},
			nil,
			[]string{"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"},
		},
		"health public": {
			[]hauberk.Interceptor{hauberk.For(testService+"/*", authn("authn"))},
			[]string{hauberk.Health},
			[]string{"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"},
		},
		"authentication under a condition": {
			[]hauberk.Interceptor{hauberk.When(sometimes, authn("authn"))},
			[]string{hauberk.Reflection, hauberk.Health},
			[]string{testService},
		},
		"health and reflection public": {
			[]hauberk.Interceptor{hauberk.For(testService+"/*", authn("authn"))},
			[]string{hauberk.Reflection, hauberk.Health},
			nil,
		},
		"all authenticated":      {[]hauberk.Interceptor{authn("authn")}, nil, nil},
		"without authentication": {[]hauberk.Interceptor{hauberk.Func(idle)}, nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			srv := hauberk.Must(hauberk.Config{Public: c.public}.New(c.interceptors...)).NewServer()
			t.Cleanup(srv.Stop)
			testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
			healthpb.RegisterHealthServer(srv, health.NewServer())
			reflection.Register(srv)
			lis := bufconn.Listen(1 << 16)
			if c.open == nil {
				serveAndStop(t, srv, lis)
				return
			}
			err := srv.Serve(lis)
			if err == nil {
				t.Fatal("Serve served")
			}
			for service := range srv.GetServiceInfo() {
				want := false
				for _, open := range c.open {
					want = want || service == open
				}
				if strings.Contains(err.Error(), "/"+service+"/") != want {
					t.Errorf("the error names %s: %t, want %t: %v", service, !want, want, err)
				}
			}
			if _, err := lis.Accept(); err == nil {
				t.Error("the listener was left open")
			}
		})
	}
}

// serveAndStop serves until a call has been answered.
func serveAndStop(t *testing.T, srv *hauberk.Server, lis *bufconn.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn := dialListener(t, lis)
	_, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	wantCode(t, err, codes.OK)
	_ = conn.Close()
	srv.Stop()
	if err := <-served; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

func dialListener(t *testing.T, lis *bufconn.Listener) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// rules is an interceptor with rules about methods.
func rules(name string, admits ...string) hauberk.Interceptor {
	return hauberk.Declare(passThrough(), hauberk.Declaration{
		Name: name, Decides: true,
		Authorizes: func(m *hauberk.Method) bool { return slices.Contains(admits, m.FullName()) },
	})
}

// Methods that are authenticated and that no rule admits are listed, and are not an error.
func TestCoverageWithoutRule(t *testing.T) {
	for name, c := range map[string]struct {
		interceptors []hauberk.Interceptor
		want         string // the methods without a rule
	}{
		"no authorization":  {[]hauberk.Interceptor{authn("jwt")}, ""},
		"all":               {[]hauberk.Interceptor{authn("jwt"), rules("authz", getMethod, watchMethod)}, ""},
		"one":               {[]hauberk.Interceptor{authn("jwt"), rules("authz", getMethod)}, watchMethod},
		"none":              {[]hauberk.Interceptor{authn("jwt"), rules("authz")}, getMethod + " " + watchMethod},
		"does not run":      {[]hauberk.Interceptor{authn("jwt"), hauberk.For("shop.v1.Cart/Get", rules("authz", getMethod, watchMethod))}, watchMethod},
		"both must":         {[]hauberk.Interceptor{authn("jwt"), rules("a", getMethod, watchMethod), rules("b", watchMethod)}, getMethod},
		"in shadow":         {[]hauberk.Interceptor{authn("jwt"), hauberk.Shadow(rules("authz"))}, ""},
		"not authenticated": {[]hauberk.Interceptor{rules("authz")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cov := hauberk.Must(hauberk.Config{Public: []string{healthMethods}}.New(c.interceptors...)).Coverage(shop)
			if got := strings.Join(cov.WithoutRule(), " "); got != c.want {
				t.Errorf("without a rule %q, want %q", got, c.want)
			}
			for _, method := range cov.WithoutRule() {
				if !strings.Contains(cov.String(), method+": jwt") || strings.Count(cov.String(), "(NO RULE)") != len(cov.WithoutRule()) {
					t.Errorf("%s is not marked in\n%s", method, cov)
				}
			}
			if err := cov.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

// answerers are interceptors that answer calls themselves.
func answerers() map[string]hauberk.Interceptor {
	secret := &testpb.Response{Text: "secret"}
	return map[string]hauberk.Interceptor{
		"Reply": hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error { return call.Reply(secret) }),
		"Reply after next": hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			_ = next(ctx, call)
			return call.Reply(secret)
		}),
		"FromServer": hauberk.FromServer(
			func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) { return secret, nil },
			func(_ any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
				_ = stream.SendMsg(secret)
				return nil
			}),
	}
}

// TestOpenMethodsAreNotAnswered: a method that the coverage proof finds open is never
// answered, neither by its handler nor by an interceptor. Outer interceptors get the outcome
// that the client gets.
func TestOpenMethodsAreNotAnswered(t *testing.T) {
	for name, answerer := range answerers() {
		for _, kind := range allKinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var outcome error
				chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					outcome = next(ctx, call)
					return outcome
				}), hauberk.For("shop.v1.Cart/*", authn("authn")), answerer))
				srv := chain.NewServer()
				testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
				conn := serveH2C(t, srv)
				defer srv.Stop()
				want := map[string]codes.Code{hauberktest.FullMethod(kind): codes.Internal}
				if kind == hauberk.Bidi {
					want["/shop.v1.Other/Get"] = codes.Unimplemented
				}
				for method, code := range want {
					texts, err := echo(patient(t), conn, kind, method)
					wantCode(t, err, code)
					wantCode(t, outcome, code)
					equal(t, "responses", texts, nil)
				}
			})
		}
	}
}
