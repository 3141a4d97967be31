package attacks_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	channelz "google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// Statuses on the wire.
const (
	ok               = "0"
	permissionDenied = "7"
	unimplemented    = "12"
)

func rules(p authz.Policy) hauberk.Interceptor { return authz.New(authz.Config{Policy: p}) }

func all() authz.Rule { return authz.Rule{Name: "all", Methods: []string{"*"}} }

// denyService allows everything but one service. What it must not execute is everything that
// the server has.
func denyService() authz.Policy {
	return authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{{Methods: []string{service + "/*"}}}}
}

// A path without a leading slash does not get around a rule that denies (CVE-2026-33186).
func TestZ01PathWithoutSlash(t *testing.T) {
	hauberktest.CheckLeaks(t)
	to := serve(t, hauberk.Config{}, nil, rules(denyService()))
	for _, kind := range kinds {
		path := hauberktest.FullMethod(kind)
		for path, want := range map[string]string{path[1:]: unimplemented, path: permissionDenied} {
			conn := dialRaw(t, to.addr)
			stream, err := conn.send(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := conn.results(1)
			if err != nil || got[stream] != want {
				t.Errorf("%q ended with %q, %v; want %s", path, got[stream], err, want)
			}
		}
	}
	to.ledger.wantNothing(t)
}

// Paths that resemble a method's are other methods: none is executed, under a policy that
// denies the service, nor under one that allows one method of it. The model is the comparison
// of whole strings.
func TestZ02PathVariants(t *testing.T) {
	hauberktest.CheckLeaks(t)
	n := 50_000 // for each policy
	if testing.Short() {
		n = 2_500
	}
	allowed := hauberktest.FullMethod(hauberk.Unary)
	for name, p := range map[string]authz.Policy{
		"deny":  denyService(),
		"allow": {Allow: []authz.Rule{{Methods: []string{strings.TrimPrefix(allowed, "/")}}}},
	} {
		t.Run(name, func(t *testing.T) {
			to := serve(t, hauberk.Config{}, nil, rules(p))
			random := rand.New(rand.NewPCG(2, 26))
			executed := 0
			for range n / batch {
				executed += sendPaths(t, to, random, func(path string) []string {
					switch {
					case path == allowed && name == "allow":
						return []string{ok}
					case slices.Contains(methods(), path):
						return []string{permissionDenied}
					default:
						return []string{permissionDenied, unimplemented}
					}
				})
			}
			got := to.ledger.take()
			if len(got) != executed || slices.ContainsFunc(got, func(m string) bool { return m != allowed }) {
				t.Errorf("%d calls were executed, want %d", len(got), executed)
			}
			if name == "allow" && executed == 0 {
				t.Error("the generator makes no path that is allowed")
			}
		})
	}
}

// batch is how many calls run at once.
const batch = 250

// sendPaths sends calls with generated paths and compares their status with one of those that
// want returns. It returns how many ended with OK.
func sendPaths(t *testing.T, to *target, random *rand.Rand, want func(path string) []string) (executed int) {
	t.Helper()
	conn := dialRaw(t, to.addr)
	paths := make(map[uint32]string, batch)
	for range batch {
		path := variant(random)
		stream, err := conn.send(path)
		if err != nil {
			t.Fatal(err)
		}
		paths[stream] = path
	}
	got, err := conn.results(batch)
	if err != nil {
		t.Fatal(err)
	}
	for stream, path := range paths {
		if !slices.Contains(want(path), got[stream]) {
			t.Errorf("%q ended with %q, want %q", path, got[stream], want(path))
		}
		if got[stream] == ok {
			executed++
		}
	}
	_ = conn.conn.Close()
	return executed
}

func methods() (all []string) {
	for _, kind := range kinds {
		all = append(all, hauberktest.FullMethod(kind))
	}
	return all
}

// variant returns a path that resembles a method's, and now and then one.
func variant(random *rand.Rand) string {
	path := methods()[random.IntN(len(kinds))]
	for range random.IntN(4) {
		path = mutate(random, path)
	}
	return path
}

func mutate(random *rand.Rand, path string) string {
	at := 0
	if path != "" {
		at = random.IntN(len(path))
	}
	extras := []string{"/", "//", ".", "..", "/./", "/../", "%2F", "%2f", "%00", "?", "#", ";", "*", " ", `\`, ":", "@", "x", "X", "-", "~"}
	extra := extras[random.IntN(len(extras))]
	switch random.IntN(10) {
	case 0:
		return extra + path
	case 1:
		return path + extra
	case 2:
		return path[:at] + extra + path[at:]
	case 3:
		return strings.ReplaceAll(path, "/", extra)
	case 4:
		return strings.Replace(path, "/", "//", 1+random.IntN(2))
	case 5:
		return strings.ToUpper(path)
	case 6:
		return strings.ToLower(path)
	case 7:
		return path[at:]
	case 8:
		return path[:at]
	default:
		return []string{"", "/", "*", "//", "/*", "/" + service, "/" + service + "/", service, "/" + service + "/*"}[random.IntN(9)]
	}
}

// What no rule names is rejected, built-in services too, and executed once it is named.
func TestZ04DefaultDeny(t *testing.T) {
	hauberktest.CheckLeaks(t)
	register := func(srv *hauberk.Server) {
		healthpb.RegisterHealthServer(srv, health.NewServer())
		reflection.Register(srv)
		channelz.RegisterChannelzServiceToServer(srv)
	}
	builtIn := map[string]hauberk.Kind{
		healthpb.Health_Check_FullMethodName:                              hauberk.Unary,
		healthpb.Health_List_FullMethodName:                               hauberk.Unary,
		reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName: hauberk.Bidi,
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":  hauberk.Bidi,
		channelzpb.Channelz_GetServers_FullMethodName:                     hauberk.Unary,
		channelzpb.Channelz_GetTopChannels_FullMethodName:                 hauberk.Unary,
	}
	one := serve(t, hauberk.Config{}, register, rules(authz.Policy{Allow: []authz.Rule{{Methods: []string{service + "/Unary"}}}}))
	for _, kind := range kinds {
		want := codes.PermissionDenied
		if kind == hauberk.Unary {
			want = codes.OK
		}
		one.wantCall(t, kind, want, "x")
	}
	for method, kind := range builtIn {
		if err := one.call(t, method, kind, ""); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", method, err)
		}
		listed := serve(t, hauberk.Config{}, register, rules(authz.Policy{Allow: []authz.Rule{{Methods: []string{method}}}}))
		if err := listed.call(t, method, kind, ""); status.Code(err) == codes.PermissionDenied {
			t.Errorf("%s, listed: %v", method, err)
		}
		listed.wantCall(t, hauberk.Unary, codes.PermissionDenied, "x")
		public := serve(t, hauberk.Config{Public: []string{method}}, register, rules(authz.Policy{Allow: []authz.Rule{{Methods: []string{"grpc.x.Y/Z"}}}}))
		if err := public.call(t, method, kind, ""); status.Code(err) == codes.PermissionDenied {
			t.Errorf("%s, public: %v", method, err)
		}
	}
	if err := one.call(t, "/nowhere.v1.Nothing/Do", hauberk.Bidi, "x"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("an unknown method: %v", err)
	}
	one.ledger.wantNothing(t)
}

// Each rule decides alike for all kinds of methods.
func TestZ05Kinds(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for name, c := range map[string]struct {
		rule authz.Rule
		yes  []string // metadata of a call that matches
		no   []string // and of one that does not
		text [2]string
	}{
		"subject":   {rule: authz.Rule{Subjects: []string{"alice"}}, yes: []string{"login", "alice"}, no: []string{"login", "bob"}},
		"tenant":    {rule: authz.Rule{Tenants: []string{"acme"}}, yes: []string{"login", "a", "login-tenant", "acme"}, no: []string{"login", "a", "login-tenant", "acm"}},
		"role":      {rule: authz.Rule{Roles: []string{"admin"}}, yes: []string{"login", "a", "login-role", "x", "login-role", "admin"}, no: []string{"login", "a"}},
		"scope":     {rule: authz.Rule{Scopes: []string{"cart.*"}}, yes: []string{"login", "a", "login-scope", "cart.read"}, no: []string{"login", "a", "login-scope", "xcart.read"}},
		"metadata":  {rule: authz.Rule{Metadata: []authz.MetadataMatch{{Key: "x-env", Values: []string{"prod"}}}}, yes: []string{"x-env", "prod"}, no: []string{"x-env", "test"}},
		"condition": {rule: authz.Rule{When: `identity.subject == "alice"`}, yes: []string{"login", "alice"}, no: []string{"login", "bob"}},
		"request":   {rule: authz.Rule{When: `request.text == "yes"`, Request: true}, text: [2]string{"yes", "no"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.rule.Methods = []string{service + "/*"}
			allow := serve(t, hauberk.Config{}, nil, login{}, rules(authz.Policy{Allow: []authz.Rule{c.rule}}))
			deny := serve(t, hauberk.Config{}, nil, login{}, rules(authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{c.rule}}))
			for _, kind := range kinds {
				allow.wantCall(t, kind, codes.OK, c.text[0], c.yes...)
				allow.wantCall(t, kind, codes.PermissionDenied, c.text[1], c.no...)
				deny.wantCall(t, kind, codes.PermissionDenied, c.text[0], c.yes...)
				deny.wantCall(t, kind, codes.OK, c.text[1], c.no...)
			}
			if c.text[0] != "" {
				return
			}
			for _, kind := range kinds { // without the attribute
				allow.wantCall(t, kind, codes.PermissionDenied, "")
				deny.wantCall(t, kind, codes.PermissionDenied, "")
			}
		})
	}
}

// Values match as a whole, and each value of a metadata key is judged.
func TestZ09WholeValues(t *testing.T) {
	hauberktest.CheckLeaks(t)
	impostors := []string{"not-admin", "adminX", `x\nadmin`, `admin\n`, "Admin", " admin x", "administrator", "*", "admin,user"}
	for name, c := range map[string]struct {
		rule authz.Rule
		as   func(value string) []string
	}{
		"role":       {authz.Rule{Roles: []string{"admin"}}, func(v string) []string { return []string{"login", "a", "login-role", v} }},
		"subject":    {authz.Rule{Subjects: []string{"admin"}}, func(v string) []string { return []string{"login", v} }},
		"metadata":   {authz.Rule{Metadata: []authz.MetadataMatch{{Key: "x-role", Values: []string{"admin"}}}}, func(v string) []string { return []string{"x-role", v} }},
		"expression": {authz.Rule{When: `identity.subject.matches("^(admin|root)$")`}, func(v string) []string { return []string{"login", v} }},
		"list":       {authz.Rule{When: `"admin" in identity.roles`}, func(v string) []string { return []string{"login", "a", "login-role", v} }},
	} {
		t.Run(name, func(t *testing.T) {
			c.rule.Methods = []string{service + "/*"}
			allow := serve(t, hauberk.Config{}, nil, login{}, rules(authz.Policy{Allow: []authz.Rule{c.rule}}))
			deny := serve(t, hauberk.Config{}, nil, login{}, rules(authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{c.rule}}))
			for _, kind := range kinds {
				for _, value := range impostors {
					allow.wantCall(t, kind, codes.PermissionDenied, "x", c.as(value)...)
					deny.wantCall(t, kind, codes.OK, "x", c.as(value)...)
				}
				allow.wantCall(t, kind, codes.OK, "x", c.as("admin")...)
				deny.wantCall(t, kind, codes.PermissionDenied, "x", c.as("admin")...)
			}
			if name != "metadata" {
				return
			}
			for _, two := range [][]string{{"x-role", "admin", "x-role", "user"}, {"x-role", "user", "x-role", "admin"}} {
				allow.wantCall(t, hauberk.Unary, codes.PermissionDenied, "x", two...)
				deny.wantCall(t, hauberk.Unary, codes.PermissionDenied, "x", two...)
			}
		})
	}
	for _, loose := range []string{"admin", "^admin", "admin$", "^admin|root$", ".*admin.*", "(?m)^admin$"} {
		wantNoChain(t, authz.Rule{Methods: []string{"*"}, When: fmt.Sprintf("identity.subject.matches(%q)", loose)})
	}
}

// Rules of unknown kinds are rejected at load: none becomes "allow" or "no match".
func TestZ18UnknownRules(t *testing.T) {
	for _, rule := range []authz.Rule{
		{},
		{Methods: []string{"!" + service + "/Unary"}},
		{Methods: []string{"regex:.*"}},
		{Methods: []string{service + "/Un*"}},
		{Methods: []string{"*"}, Subjects: []string{"a*b"}},
		{Methods: []string{"*"}, Roles: []string{}},
		{Methods: []string{"*"}, ClientAddrs: []string{"!10.0.0.0/8"}},
		{Methods: []string{"*"}, Metadata: []authz.MetadataMatch{{Key: "x"}}},
		{Methods: []string{"*"}, Metadata: []authz.MetadataMatch{{Key: ":method", Values: []string{"POST"}}}},
		{Methods: []string{"*"}, When: `not_in(identity.subject, ["x"])`},
		{Methods: []string{"*"}, When: `identity.groups == ["x"]`},
		{Methods: []string{"*"}, When: `NOT true`},
		{Methods: []string{"*"}, When: `request.text == "x"`},
	} {
		wantNoChain(t, rule)
	}
	for _, text := range []string{
		`{"source": {"not_principals": ["a"]}}`, `{"request": {"not_paths": ["a"]}}`, `{"source": {"ips": ["10.0.0.0/8"]}}`,
		`{"request": {"headers": [{"key": "x", "values": ["a"], "invert": true}]}}`, `{"not_rule": {}}`, `{"action": "DENY"}`,
		`{"request": {"headers": [{"key": ":method", "values": ["POST"]}]}}`, `{"request": {"headers": [{"key": "x"}]}}`,
	} {
		rule := `{"name": "r", ` + text[1:]
		for _, policy := range []string{
			`{"name": "p", "allow_rules": [` + rule + `]}`,
			`{"name": "p", "allow_rules": [{"name": "all"}], "deny_rules": [` + rule + `]}`,
			`{"name": "p", "allow_rules": [{"name": "all"}], "audit_rules": [` + rule + `]}`,
		} {
			if _, err := authz.ParseGRPC([]byte(policy)); err == nil {
				t.Errorf("%s was accepted", policy)
			}
		}
	}
}

// wantNoChain checks that no chain has a rule, in Allow or in Deny.
func wantNoChain(t *testing.T, rule authz.Rule) {
	t.Helper()
	for _, p := range []authz.Policy{{Allow: []authz.Rule{rule}}, {Allow: []authz.Rule{all()}, Deny: []authz.Rule{rule}}} {
		if _, err := hauberk.New(login{}, rules(p)); err == nil {
			t.Errorf("the policy %+v was accepted", p)
		}
	}
}
