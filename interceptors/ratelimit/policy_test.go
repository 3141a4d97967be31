package ratelimit_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

const cart = "hauberk.policy.test.v1.Cart"

func cartPolicy(t testing.TB) *hauberk.DescriptorPolicy {
	t.Helper()
	p, err := hauberk.FromDescriptors(policypb.File_internal_policypb_shop_proto.Services().ByName("Cart"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// identified is an interceptor that takes the identity from the request metadata.
type identified struct{}

func (identified) Declare() hauberk.Declaration {
	return hauberk.Declaration{
		Name: "identified", Phase: hauberk.PhaseAuthn, Writes: []hauberk.StateKey{hauberk.IdentityKey},
	}
}

func (identified) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	first := func(key string) string {
		for _, v := range call.Metadata(ctx, key) {
			return v
		}
		return ""
	}
	id := &hauberk.Identity{Subject: first("user"), Issuer: first("issuer"), Tenant: first("tenant")}
	if id.Subject != "" {
		hauberk.IdentityKey.Set(call, id)
	}
	return next(ctx, call)
}

// caller returns a function that calls a method of Cart through a server's chain, with pairs of
// request metadata.
func caller(t testing.TB, p *hauberk.DescriptorPolicy, config ratelimit.Config, opts ...ratelimit.Option) func(method string, pairs ...string) error {
	t.Helper()
	outside, inside := ratelimit.FromPolicy(p, config, opts...)
	chain, err := hauberk.New(slices.Concat(outside, []hauberk.Interceptor{identified{}}, inside)...)
	if err != nil {
		t.Fatal(err)
	}
	intercept := chain.UnaryServerInterceptor()
	return func(method string, pairs ...string) error {
		_, err := intercept(from(tcp("192.0.2.1"), pairs...), &emptypb.Empty{}, &grpc.UnaryServerInfo{FullMethod: "/" + cart + "/" + method},
			func(context.Context, any) (any, error) { return &emptypb.Empty{}, nil })
		return err
	}
}

// Each method has the limit of the .proto file: its own for each user, or that of the service,
// which counts the calls of all methods that have it together.
func TestFromPolicy(t *testing.T) {
	clock := hauberktest.NewClock()
	p := cartPolicy(t)
	if err := p.Override(cart+"/*", func(m *hauberk.MethodPolicy) {
		for i := range m.Limits {
			if m.Limits[i].Service {
				m.Limits[i].Count = 3
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	call := caller(t, p, ratelimit.Config{}, ratelimit.WithClock(clock.Now))
	for _, user := range []string{"alice", "bob"} {
		for range 2 {
			wantCode(t, call("Get", "user", user), codes.OK)
		}
		wantCode(t, call("Get", "user", user), codes.ResourceExhausted)
	}
	wantCode(t, call("Get", "user", "alice", "issuer", "other"), codes.OK)
	wantCode(t, call("Get"), codes.OK) // by its peer
	for _, method := range []string{"Browse", "Pay", "List"} {
		wantCode(t, call(method), codes.OK)
	}
	wantCode(t, call("Refund"), codes.ResourceExhausted)
	wantCode(t, call("Absent"), codes.OK)
	clock.Advance(time.Minute)
	wantCode(t, call("Get", "user", "alice"), codes.OK)
	wantCode(t, call("Refund"), codes.OK)
}

// Limits by tenant and of all callers, and several for one method, all hold.
func TestFromPolicyKeys(t *testing.T) {
	p := cartPolicy(t)
	limits := map[string][]hauberk.MethodLimit{
		cart + "/Pay":    {{Count: 1, Per: time.Hour, By: hauberk.LimitByTenant}},
		cart + "/Refund": {{Count: 3, Per: time.Hour, By: hauberk.LimitByGlobal}, {Count: 2, Per: time.Hour, By: hauberk.LimitByUser}},
	}
	if err := p.Override(cart+"/*", func(m *hauberk.MethodPolicy) { m.Limits = limits[m.Method] }); err != nil {
		t.Fatal(err)
	}
	call := caller(t, p, ratelimit.Config{Algorithm: ratelimit.SlidingWindow})
	wantCode(t, call("Pay", "user", "a", "tenant", "x"), codes.OK)
	wantCode(t, call("Pay", "user", "b", "tenant", "x"), codes.ResourceExhausted)
	wantCode(t, call("Pay", "user", "b", "tenant", "y"), codes.OK)
	wantCode(t, call("Pay", "user", "b"), codes.OK) // by its peer
	wantCode(t, call("Pay"), codes.ResourceExhausted)
	wantCode(t, call("Refund", "user", "a"), codes.OK)
	wantCode(t, call("Refund", "user", "a"), codes.OK)
	wantCode(t, call("Refund", "user", "a"), codes.ResourceExhausted)
	wantCode(t, call("Refund", "user", "b"), codes.ResourceExhausted) // the rejected call took a permit of all callers
	wantCode(t, call("Get"), codes.OK)
}

// registry is a Store that keeps the limits that it opened.
type registry struct {
	store

	opened []ratelimit.Limit
}

func (r *registry) Open(limits []ratelimit.Limit) (ratelimit.Quotas, error) {
	r.opened = append(r.opened, limits...)
	return r.store.Open(limits)
}

// Limits of different methods, and equal limits of one, have separate quotas in a store as in memory. Methods that
// share a limit share the quota. The other limits of the policy do not matter.
func TestFromPolicyInAStore(t *testing.T) {
	two := hauberk.MethodLimit{Count: 2, Per: time.Hour, By: hauberk.LimitByUser}
	all := hauberk.MethodLimit{Count: 2, Per: time.Hour, By: hauberk.LimitByUser, Service: true}
	ids := func(limits map[string][]hauberk.MethodLimit) []string {
		p := cartPolicy(t)
		if err := p.Override(cart+"/*", func(m *hauberk.MethodPolicy) { m.Limits = limits[m.Method] }); err != nil {
			t.Fatal(err)
		}
		r := &registry{}
		ratelimit.FromPolicy(p, ratelimit.Config{}, ratelimit.WithStore(r))
		var ids []string
		for _, l := range r.opened {
			ids = append(ids, strings.TrimPrefix(l.ID, cart))
		}
		slices.Sort(ids)
		return ids
	}
	got := ids(map[string][]hauberk.MethodLimit{cart + "/Pay": {two, two, all}, cart + "/Refund": {two, all}})
	if want := []string{"/*", "/Pay", "/Pay#2", "/Refund"}; !slices.Equal(got, want) {
		t.Errorf("the IDs are %q, want %q", got, want)
	}
	if got := ids(map[string][]hauberk.MethodLimit{cart + "/Refund": {two}}); !slices.Equal(got, []string{"/Refund"}) {
		t.Errorf("the ID of a single limit is %q", got)
	}
}

// Explain shows each limit with its source; the order proof knows which need an identity.
func TestFromPolicyExplain(t *testing.T) {
	outside, inside := ratelimit.FromPolicy(cartPolicy(t), ratelimit.Config{})
	if len(outside) != 1 || len(inside) != 1 {
		t.Fatalf("there are %d limits outside and %d inside; want 1 and 1", len(outside), len(inside))
	}
	chain := hauberk.Must(hauberk.New(slices.Concat(outside, []hauberk.Interceptor{identified{}}, inside)...))
	if findings := chain.Lint(hauberk.ServerSide); len(findings) > 0 {
		t.Errorf("Lint has %v", findings)
	}
	for method, want := range map[string]string{
		"Get":  "limit 2 in 1m0s by user: option (hauberk.v1.policy) of " + cart + "/Get",
		"List": "limit 1000 in 1s by peer, shared by the service: option (hauberk.v1.service_policy) of " + cart,
	} {
		e, err := chain.Explain(cart + "/" + method)
		if err != nil || strings.Count(e.String(), "limit ") != 1 || !strings.Contains(e.String(), want) {
			t.Errorf("Explain returned %v, %v; want %q in it", e, err, want)
		}
	}
	if _, err := hauberk.New(append(inside, identified{})...); err == nil || !strings.Contains(err.Error(), `reads the state "identity" before it is written`) {
		t.Errorf("a limit by user outside of authentication gave %v", err)
	}
}

// No policy has no limiters. Settings that a policy has, and values that it cannot have, are
// errors of hauberk.New.
func TestFromPolicyErrors(t *testing.T) {
	if outside, inside := ratelimit.FromPolicy(nil, ratelimit.Config{}); outside != nil || inside != nil {
		t.Error("no policy has limiters")
	}
	for _, config := range []ratelimit.Config{{Limit: 1}, {Per: time.Second}, {By: callkey.Global()}} {
		outside, _ := ratelimit.FromPolicy(cartPolicy(t), config)
		if _, err := hauberk.New(outside...); err == nil || !strings.Contains(err.Error(), "FromPolicy was given Limit, Per or By") {
			t.Errorf("the error is %v", err)
		}
	}
	p := cartPolicy(t)
	p.Method(cart + "/Get").Limits[0].By = 9
	if _, inside := ratelimit.FromPolicy(p, ratelimit.Config{}); len(inside) != 1 {
		t.Errorf("there are %d limits inside", len(inside))
	} else if _, err := hauberk.New(inside...); err == nil || !strings.Contains(err.Error(), "by LimitBy(9)") {
		t.Errorf("the error is %v", err)
	}
}
