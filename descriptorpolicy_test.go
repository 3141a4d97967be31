package hauberk_test

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/emptypb" // which the descriptors of these tests import

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
	hauberkv1 "github.com/hauberk-rpc/hauberk/proto/hauberk/v1"
)

const cart = "hauberk.policy.test.v1.Cart"

func policyServices() (all []protoreflect.ServiceDescriptor) {
	services := policypb.File_internal_policypb_shop_proto.Services()
	for i := range services.Len() {
		all = append(all, services.Get(i))
	}
	return all
}

func mustPolicy(t testing.TB) *hauberk.DescriptorPolicy {
	t.Helper()
	p, err := hauberk.FromDescriptors(policyServices()...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// settingsOf writes the settings of a method, by name.
func settingsOf(m *hauberk.MethodPolicy) string {
	var all []string
	for _, s := range m.Settings() {
		all = append(all, s.String())
	}
	text := strings.Join(all, "\n")
	text = strings.ReplaceAll(text, "option (hauberk.v1.", "(")
	return strings.ReplaceAll(text, "hauberk.policy.test.v1.", "")
}

// Methods have their own settings, and those of their service for the others. What a method sets
// wins over what contradicts it. Each setting has its source.
func TestFromDescriptors(t *testing.T) {
	want := map[string]string{
		cart + "/Browse": `public true: (policy) of Cart/Browse
deadline 10s: (service_policy) of Cart
limits 1000 in 1s by peer, shared by the service: (service_policy) of Cart`,
		cart + "/Get": `roles buyer, support: (service_policy) of Cart
idempotent true: (policy) of Cart/Get
deadline 1.5s: (policy) of Cart/Get
limits 2 in 1m0s by user: (policy) of Cart/Get`,
		cart + "/List": `roles buyer, support: (service_policy) of Cart
idempotent true: option idempotency_level of Cart/List
deadline 10s: (service_policy) of Cart
limits 1000 in 1s by peer, shared by the service: (service_policy) of Cart`,
		cart + "/Pay": `roles buyer, support: (service_policy) of Cart
scopes cart.pay: (policy) of Cart/Pay
deadline 10s: (service_policy) of Cart
limits 1000 in 1s by peer, shared by the service: (service_policy) of Cart`,
		cart + "/Refund": `roles admin: (policy) of Cart/Refund
idempotent false: (policy) of Cart/Refund
deadline 10s: (service_policy) of Cart
limits 1000 in 1s by peer, shared by the service: (service_policy) of Cart`,
		"hauberk.policy.test.v1.Catalog/Change": `roles editor: (policy) of Catalog/Change`,
		"hauberk.policy.test.v1.Catalog/Draft":  `public false: (policy) of Catalog/Draft`,
		"hauberk.policy.test.v1.Catalog/Read":   `public true: (service_policy) of Catalog`,
		"hauberk.policy.test.v1.Plain/Do":       ``,
	}
	p := mustPolicy(t)
	if len(p.Methods) != len(want) || !slices.IsSortedFunc(p.Methods, func(a, b hauberk.MethodPolicy) int {
		return strings.Compare(a.Method, b.Method)
	}) {
		t.Errorf("there are %d methods, want %d in order", len(p.Methods), len(want))
	}
	for name, settings := range want {
		if m := p.Method("/" + name); m == nil || settingsOf(m) != settings {
			t.Errorf("%s:\n%s\nwant:\n%s", name, settingsOf(m), settings)
		}
	}
	if p.Method(cart+"/Absent") != nil || (*hauberk.DescriptorPolicy)(nil).Method("a.B/C") != nil {
		t.Error("there is a policy of an absent method")
	}
}

// The views list what settings of a chain need, and are empty for no policy.
func TestPolicyViews(t *testing.T) {
	p := mustPolicy(t)
	if got, want := p.PublicMethods(), []string{cart + "/Browse", "hauberk.policy.test.v1.Catalog/Read"}; !slices.Equal(got, want) {
		t.Errorf("the public methods are %q; want %q", got, want)
	}
	if got, want := p.IdempotentMethods(), []string{cart + "/Get", cart + "/List"}; !slices.Equal(got, want) {
		t.Errorf("the idempotent methods are %q; want %q", got, want)
	}
	if got := p.Deadlines(); len(got) != 5 || got[cart+"/Get"] != 1500*time.Millisecond {
		t.Errorf("the deadlines are %v", got)
	}
	var none *hauberk.DescriptorPolicy
	if len(none.PublicMethods())+len(none.IdempotentMethods())+len(none.Deadlines()) > 0 {
		t.Error("no policy has methods")
	}
}

// The global registry has services by name. Unknown ones are errors that name them.
func TestFromRegistry(t *testing.T) {
	p, err := hauberk.FromRegistry(cart, "hauberk.policy.test.v1.Catalog", "hauberk.policy.test.v1.Plain")
	if err != nil || !reflect.DeepEqual(p, mustPolicy(t)) {
		t.Errorf("FromRegistry returned %v, %v", p, err)
	}
	_, err = hauberk.FromRegistry(cart, "shop.v1.Absent", "hauberk.v1.Policy", "not a name")
	for _, want := range []string{`"shop.v1.Absent"`, `"hauberk.v1.Policy"`, `"not a name"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v; want %s in it", err, want)
		}
	}
}

// A policy of no service is an error: it would enforce nothing.
func TestPolicyOfNoService(t *testing.T) {
	if p, err := hauberk.FromDescriptors(); err == nil {
		t.Errorf("FromDescriptors returned %v", p)
	}
	if p, err := hauberk.FromRegistry(); err == nil {
		t.Errorf("FromRegistry returned %v", p)
	}
	if _, err := hauberk.FromRegistry("shop.v1.Absent"); err == nil || strings.Contains(err.Error(), "no service:") {
		t.Errorf("the error is %v; want the unknown service only", err)
	}
}

// serviceWith returns a service a.B with the methods C and D, whose options have policies.
func serviceWith(t testing.TB, service, method *hauberkv1.Policy) protoreflect.ServiceDescriptor {
	t.Helper()
	so, mo := new(descriptorpb.ServiceOptions), new(descriptorpb.MethodOptions)
	if service != nil {
		proto.SetExtension(so, hauberkv1.E_ServicePolicy, service)
	}
	if method != nil {
		proto.SetExtension(mo, hauberkv1.E_Policy, method)
	}
	return serviceOf(t, so, mo)
}

func serviceOf(t testing.TB, so *descriptorpb.ServiceOptions, mo *descriptorpb.MethodOptions) protoreflect.ServiceDescriptor {
	t.Helper()
	method := func(name string, o *descriptorpb.MethodOptions) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: new(name), InputType: new(".google.protobuf.Empty"), OutputType: new(".google.protobuf.Empty"), Options: o,
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("a.proto"), Package: new("a"), Syntax: new("proto3"),
		Dependency: []string{"google/protobuf/empty.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("B"), Options: so,
			Method: []*descriptorpb.MethodDescriptorProto{method("C", mo), method("D", nil)},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Services().Get(0)
}

func seconds(s int64) *durationpb.Duration { return &durationpb.Duration{Seconds: s} }

// Options that contradict each other, or have values that are unknown or out of range, are errors
// that name the method and the field, all at once.
func TestPolicyErrors(t *testing.T) {
	limit := func(count int32, per *durationpb.Duration, by hauberkv1.LimitBy) []*hauberkv1.Limit {
		return []*hauberkv1.Limit{{Count: count, Per: per, By: by}}
	}
	unknown := new(hauberkv1.Policy)
	unknown.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 0x01})
	unknownLimit := &hauberkv1.Limit{Count: 1, Per: seconds(1), By: 1}
	unknownLimit.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 0x01})
	for name, c := range map[string]struct {
		service, method *hauberkv1.Policy
		want            []string
	}{
		"public with roles":      {nil, &hauberkv1.Policy{Public: new(true), Roles: []string{"a"}}, []string{"public is true and roles are", `"a"`}},
		"public with scopes":     {nil, &hauberkv1.Policy{Public: new(true), Scopes: []string{"a"}}, []string{"public is true and scopes are"}},
		"public, limit by user":  {nil, &hauberkv1.Policy{Public: new(true), Limits: limit(1, seconds(1), 2)}, []string{"limits[0] is by user"}},
		"inherited public":       {&hauberkv1.Policy{Public: new(true)}, &hauberkv1.Policy{Limits: limit(1, seconds(1), 3)}, []string{"limits[0] is by tenant"}},
		"empty role":             {nil, &hauberkv1.Policy{Roles: []string{"a", ""}}, []string{`roles[1] is ""`}},
		"scope with a space":     {nil, &hauberkv1.Policy{Scopes: []string{"a "}}, []string{`scopes[0] is "a "`}},
		"role twice":             {nil, &hauberkv1.Policy{Roles: []string{"a", "a"}}, []string{`roles has "a" twice`}},
		"unknown idempotency":    {nil, &hauberkv1.Policy{Idempotency: 77}, []string{"idempotency is 77; want IDEMPOTENCY_NOT_IDEMPOTENT, IDEMPOTENCY_IDEMPOTENT"}},
		"zero deadline":          {nil, &hauberkv1.Policy{Deadline: seconds(0)}, []string{"deadline: it is 0s"}},
		"negative deadline":      {nil, &hauberkv1.Policy{Deadline: seconds(-1)}, []string{"deadline: it is -1s"}},
		"malformed deadline":     {nil, &hauberkv1.Policy{Deadline: &durationpb.Duration{Seconds: 1, Nanos: -1}}, []string{"deadline: ", "different signs"}},
		"endless deadline":       {nil, &hauberkv1.Policy{Deadline: seconds(315_576_000_000)}, []string{"deadline: it is more than"}},
		"out of range deadline":  {nil, &hauberkv1.Policy{Deadline: seconds(math.MaxInt64)}, []string{"deadline: "}},
		"limit without count":    {nil, &hauberkv1.Policy{Limits: limit(0, seconds(1), 1)}, []string{"limits[0]: count is 0"}},
		"limit of negative time": {nil, &hauberkv1.Policy{Limits: limit(1, seconds(-1), 1)}, []string{"limits[0]: per: it is -1s"}},
		"limit without time":     {nil, &hauberkv1.Policy{Limits: limit(1, nil, 1)}, []string{"limits[0]: per: it is not set"}},
		"limit without key":      {nil, &hauberkv1.Policy{Limits: limit(1, seconds(1), 0)}, []string{"limits[0]: by is 0; want LIMIT_BY_PEER"}},
		"limit by unknown key":   {nil, &hauberkv1.Policy{Limits: limit(1, seconds(1), 9)}, []string{"limits[0]: by is 9"}},
		"unknown field":          {nil, unknown, []string{"fields that this version"}},
		"unknown field of limit": {nil, &hauberkv1.Policy{Limits: []*hauberkv1.Limit{unknownLimit}}, []string{"fields that this version"}},
		"several": {nil, &hauberkv1.Policy{Deadline: seconds(-1), Limits: limit(1, nil, 0)}, []string{
			"deadline: ", "per: it is not set", "by is 0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hauberk.FromDescriptors(serviceWith(t, c.service, c.method))
			for _, want := range append(c.want, "option (hauberk.v1.policy) of a.B/C: ") {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v; want %q in it", err, want)
				}
			}
			if c.service != nil {
				return
			}
			if _, err := hauberk.FromDescriptors(serviceWith(t, c.method, nil)); err == nil ||
				!strings.Contains(err.Error(), "option (hauberk.v1.service_policy) of a.B: ") {
				t.Errorf("the error of the service is %v", err)
			}
		})
	}
	_, err := hauberk.FromDescriptors(nil, serviceWith(t, nil, nil), serviceWith(t, nil, nil))
	if err == nil || !strings.Contains(err.Error(), "service 1 of FromDescriptors is nil") ||
		!strings.Contains(err.Error(), "the service a.B twice") {
		t.Errorf("the error is %v", err)
	}
}

// Limits by user of a service do not hold for its public methods, and roles of a service do not.
func TestPublicMethodOfService(t *testing.T) {
	p, err := hauberk.FromDescriptors(serviceWith(t,
		&hauberkv1.Policy{Roles: []string{"a"}, Scopes: []string{"b"}, Limits: []*hauberkv1.Limit{
			{Count: 1, Per: seconds(1), By: hauberkv1.LimitBy_LIMIT_BY_USER},
			{Count: 2, Per: seconds(1), By: hauberkv1.LimitBy_LIMIT_BY_GLOBAL},
		}},
		&hauberkv1.Policy{Public: new(true)}))
	if err != nil {
		t.Fatal(err)
	}
	c, d := p.Method("a.B/C"), p.Method("a.B/D")
	if !c.Public || c.Roles != nil || c.Scopes != nil || len(c.Limits) != 1 || c.Limits[0].By != hauberk.LimitByGlobal {
		t.Errorf("the public method is %+v", c)
	}
	if d.Public || len(d.Roles) != 1 || len(d.Scopes) != 1 || len(d.Limits) != 2 {
		t.Errorf("the other method is %+v", d)
	}
}

// Options of a descriptor that was decoded without the extension are read as well.
func TestPolicyOfUnknownExtension(t *testing.T) {
	mo := new(descriptorpb.MethodOptions)
	proto.SetExtension(mo, hauberkv1.E_Policy, &hauberkv1.Policy{Roles: []string{"a"}})
	encoded, err := proto.Marshal(mo)
	if err != nil {
		t.Fatal(err)
	}
	raw := new(descriptorpb.MethodOptions)
	raw.ProtoReflect().SetUnknown(encoded)
	p, err := hauberk.FromDescriptors(serviceOf(t, nil, raw))
	if err != nil || !slices.Equal(p.Method("a.B/C").Roles, []string{"a"}) {
		t.Errorf("the policy is %+v, %v; want the role a", p, err)
	}
	raw.ProtoReflect().SetUnknown(append(encoded[:len(encoded)-3], 0xff, 0xff, 0xff))
	if _, err := hauberk.FromDescriptors(serviceOf(t, nil, raw)); err == nil || !strings.Contains(err.Error(), "a.B/C: the options cannot be decoded") {
		t.Errorf("the error of damaged options is %v", err)
	}
}

// The application's settings override those of the .proto file, and are their source. A result
// that contradicts itself changes nothing.
func TestOverride(t *testing.T) {
	p := mustPolicy(t)
	if err := p.Override(cart+"/*", func(m *hauberk.MethodPolicy) {
		m.Deadline, m.Method = time.Second, "renamed"
	}); err != nil {
		t.Fatal(err)
	}
	if got := settingsOf(p.Method(cart + "/Refund")); got != `roles admin: (policy) of Cart/Refund
idempotent false: (policy) of Cart/Refund
deadline 1s: the application
limits 1000 in 1s by peer, shared by the service: (service_policy) of Cart` {
		t.Errorf("the settings are\n%s", got)
	}
	for want, err := range map[string]error{
		"public is true and roles are": p.Override(cart+"/Get", func(m *hauberk.MethodPolicy) { m.Public = true }),
		"deadline is -1ns":             p.Override(cart+"/Get", func(m *hauberk.MethodPolicy) { m.Deadline = -1 }),
		"by is LimitBy(9)": p.Override(cart+"/Get", func(m *hauberk.MethodPolicy) {
			m.Limits[0] = hauberk.MethodLimit{Count: 1, Per: 1, By: 9}
		}),
		`no method matches "shop.v1.*"`: p.Override("shop.v1.*", func(*hauberk.MethodPolicy) {}),
		`"Cart.Get"`:                    p.Override("Cart.Get", func(*hauberk.MethodPolicy) {}),
		`of "*" with a nil function`:    p.Override("*", nil),
		`of a nil policy`:               (*hauberk.DescriptorPolicy)(nil).Override("*", func(*hauberk.MethodPolicy) {}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v; want %q", err, want)
		}
	}
	if m := p.Method(cart + "/Get"); m.Public || m.Deadline != time.Second || m.Limits[0].By != hauberk.LimitByUser {
		t.Errorf("a failed Override changed the policy: %+v", m)
	}
}

// authenticates is an interceptor that rejects all calls but those of public methods.
type authenticates struct{}

func (authenticates) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "authn", Phase: hauberk.PhaseAuthn, Sides: hauberk.OnlyServers, Authenticates: true,
		Writes: []hauberk.StateKey{hauberk.IdentityKey},
	}
}

func (authenticates) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Public() {
		return next(ctx, call)
	}
	return hauberk.Reject(16, "UNAUTHENTICATED", "no")
}

// authorizes is a place for authorization.
func authorizes() hauberk.Interceptor {
	return hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	}), hauberk.Declaration{
		Name: "authz", Phase: hauberk.PhaseAuthz, Sides: hauberk.OnlyServers, Decides: true,
		EnforcesPolicy: func(m *hauberk.MethodPolicy) bool { return m.Roles != nil || m.Scopes != nil },
	})
}

// A chain that does not enforce the roles and scopes of its policy for certain does not build.
func TestPolicyNeedsAuthorization(t *testing.T) {
	p := mustPolicy(t)
	one := func(methods ...string) string { return "scopes of " + strings.Join(methods, ", ") + ": add" }
	const catalog = "hauberk.policy.test.v1.Catalog"
	all := one(cart+"/Get", cart+"/List", cart+"/Pay", cart+"/Refund", catalog+"/Change")
	never := func(*hauberk.Call) bool { return false }
	idle := func(d hauberk.Declaration) hauberk.Interceptor {
		return hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) }), d)
	}
	for name, c := range map[string]struct {
		public       []string
		interceptors []hauberk.Interceptor
		want         string
	}{
		"no interceptors":   {nil, nil, all},
		"no authorization":  {nil, []hauberk.Interceptor{authenticates{}}, all},
		"another rule":      {nil, []hauberk.Interceptor{authenticates{}, idle(hauberk.Declaration{Phase: hauberk.PhaseAuthz})}, all},
		"under a condition": {nil, []hauberk.Interceptor{authenticates{}, hauberk.When(never, authorizes())}, all},
		"in shadow":         {nil, []hauberk.Interceptor{authenticates{}, hauberk.Shadow(authorizes())}, all},
		"one service":       {nil, []hauberk.Interceptor{authenticates{}, hauberk.For(cart+"/*", authorizes())}, one(catalog + "/Change")},
		"made public":       {[]string{cart + "/*"}, []hauberk.Interceptor{authenticates{}}, one(catalog + "/Change")},
		"all":               {nil, []hauberk.Interceptor{authenticates{}, authorizes()}, ""},
		"without authn":     {nil, []hauberk.Interceptor{authorizes()}, ""},
		"a client":          {nil, []hauberk.Interceptor{idle(hauberk.Declaration{Sides: hauberk.OnlyClients})}, ""},
	} {
		_, err := hauberk.Config{Public: c.public, Policy: p}.New(c.interceptors...)
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v; want %q in it", name, err, c.want)
		}
	}
}

// A chain has the public methods of its policy and those of Config.Public. It keeps a copy.
// Explain says where each is from.
func TestConfigPolicy(t *testing.T) {
	p := mustPolicy(t)
	chain, err := hauberk.Config{Public: []string{cart + "/Pay"}, Policy: p}.New(authenticates{}, authorizes())
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Methods {
		p.Methods[i].Public = !p.Methods[i].Public
	}
	intercept := chain.UnaryServerInterceptor()
	for method, setting := range map[string]string{
		cart + "/Browse":                        "public true: option (hauberk.v1.policy) of " + cart + "/Browse",
		cart + "/Pay":                           "public true: hauberk.Config.Public",
		"hauberk.policy.test.v1.Catalog/Read":   "public true: option (hauberk.v1.service_policy) of hauberk.policy.test.v1.Catalog",
		"hauberk.policy.test.v1.Catalog/Draft":  "public false: option (hauberk.v1.policy) of hauberk.policy.test.v1.Catalog/Draft",
		"hauberk.policy.test.v1.Catalog/Change": "",
		"hauberk.policy.test.v1.Plain/Do":       "",
		"other.Service/Do":                      "",
	} {
		public := strings.Contains(setting, "true")
		_, err := intercept(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/" + method}, func(context.Context, any) (any, error) {
			return &descriptorpb.MethodOptions{}, nil
		})
		if (err == nil) != public {
			t.Errorf("%s ended with %v; want it public: %t", method, err, public)
		}
		e, err := chain.Explain(method)
		if err != nil || e.Public != public || len(e.Settings) > 1 {
			t.Fatalf("Explain(%q) returned %+v, %v", method, e, err)
		}
		text := ""
		if len(e.Settings) == 1 {
			text = e.Settings[0].String()
			if !strings.Contains(e.String(), "\n              "+text+"\n") {
				t.Errorf("the text is %s; want the setting in it", e)
			}
		}
		if text != setting {
			t.Errorf("%s has the setting %q; want %q", method, text, setting)
		}
	}
	services := map[string]grpc.ServiceInfo{cart: {Methods: []grpc.MethodInfo{{Name: "Browse"}, {Name: "Pay"}}}}
	if err := chain.Coverage(services).Err(); err != nil {
		t.Errorf("the coverage has %v", err)
	}
}

// A policy that was changed by hand into one that contradicts itself is an error.
func TestConfigPolicyErrors(t *testing.T) {
	p := mustPolicy(t)
	p.Method(cart + "/Get").Public = true
	if _, err := (hauberk.Config{Policy: p}).New(); err == nil ||
		!strings.Contains(err.Error(), "Config.Policy: "+cart+"/Get: public is true and roles are") {
		t.Errorf("the error is %v", err)
	}
}

// Explain lists the settings that interceptors declare for the method, if they run.
func TestExplainSettings(t *testing.T) {
	x := hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	}), hauberk.Declaration{Name: "limit", Settings: func(method string) []hauberk.Setting {
		return []hauberk.Setting{{Name: "method", Value: method, Source: "test"}}
	}})
	chain := hauberk.Must(hauberk.New(hauberk.For("a.B/C", hauberk.Named("renamed", x)), hauberk.For("a.B/D", x)))
	e, err := chain.Explain("/a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	want := `/a.B/C
  1  runs     renamed: matched by For("a.B/C")
              method a.B/C: test
  2  skipped  limit: not matched by For("a.B/D")
`
	if e.String() != want || e.Steps[1].Settings != nil {
		t.Errorf("the explanation is\n%swant:\n%s", e, want)
	}
}

// FuzzFromDescriptors reads options of any content: the result is an error, or a policy that a
// chain accepts.
func FuzzFromDescriptors(f *testing.F) {
	seed := func(p *hauberkv1.Policy) []byte {
		b, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(seed(&hauberkv1.Policy{Public: new(true)}), seed(&hauberkv1.Policy{Roles: []string{"a"}, Deadline: seconds(1)}))
	f.Add(seed(&hauberkv1.Policy{Idempotency: 3}), seed(&hauberkv1.Policy{Limits: []*hauberkv1.Limit{{Count: 1, Per: seconds(1), By: 2}}}))
	f.Add([]byte{}, []byte{0xff})
	f.Fuzz(func(t *testing.T, service, method []byte) {
		var s, m hauberkv1.Policy
		if proto.Unmarshal(service, &s) != nil || proto.Unmarshal(method, &m) != nil {
			return
		}
		p, err := hauberk.FromDescriptors(serviceWith(t, &s, &m))
		if err != nil {
			return
		}
		if _, err := (hauberk.Config{Policy: p}).New(authorizes()); err != nil {
			t.Errorf("the policy is not accepted: %v", err)
		}
	})
}
