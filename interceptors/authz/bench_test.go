package authz_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpcauthz "google.golang.org/grpc/authz"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// inside runs f within a call on a server and lets it pass through interceptors as often as
// it likes.
func inside(t testing.TB, f func(pass func(x hauberk.Interceptor) error)) {
	t.Helper()
	reached := func(context.Context, *hauberk.Call) error { return nil }
	serve := server(t, login{}, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		f(func(x hauberk.Interceptor) error { return x.Intercept(ctx, call, reached) })
		return next(ctx, call)
	}))
	if err := serve(request{id: alice, md: md("x-env", "prod"), auth: tlsOf(nil)}); err != nil {
		t.Fatal(err)
	}
}

// lastOf returns n rules that name the called method, of which only the last one matches.
func lastOf(n int, rule func(i int) authz.Rule) []authz.Rule {
	rules := make([]authz.Rule, n)
	for i := range rules {
		rules[i] = rule(i)
		if rules[i].Methods == nil {
			rules[i].Methods = []string{tests}
		}
	}
	return rules
}

func bySubject(i int) authz.Rule {
	if i == 19 {
		return authz.Rule{Subjects: []string{"alice"}}
	}
	return authz.Rule{Subjects: []string{fmt.Sprint("user-", i)}, Tenants: []string{"acme"}}
}

func byMetadata(i int) authz.Rule {
	value := fmt.Sprint("env-", i)
	if i == 19 {
		value = "prod"
	}
	return authz.Rule{Metadata: []authz.MetadataMatch{{Key: "x-env", Values: []string{value}}}}
}

func byExpression(i int) authz.Rule {
	if i == 19 {
		return authz.Rule{When: `identity.subject == "alice" && "buyer" in identity.roles`}
	}
	return authz.Rule{When: fmt.Sprintf(`identity.subject == "user-%d" && "buyer" in identity.roles`, i)}
}

// among adds rules about other methods, up to 10,000.
func among(rules []authz.Rule) []authz.Rule {
	for i := range 10_000 - len(rules) {
		rules = append(rules, authz.Rule{
			Methods: []string{fmt.Sprintf("shop.v%d.Cart/Get", i), fmt.Sprintf("shop.v%d.Cart/Put", i)}, Subjects: []string{"alice"},
		})
	}
	return rules
}

// measured are the policies that budgets hold for, each with 20 rules that name the method.
func measured() []measuredPolicy {
	of := func(rules []authz.Rule) *authz.Interceptor {
		return authz.New(authz.Config{Policy: authz.Policy{Allow: rules}})
	}
	return []measuredPolicy{
		{"20 rules by subject", of(lastOf(20, bySubject)), 0},
		{"20 rules by metadata", of(lastOf(20, byMetadata)), 1}, // a copy of the values
		{"20 of 10,000 rules by subject", of(among(lastOf(20, bySubject))), 0},
		{"20 expressions", of(lastOf(20, byExpression)), -1},
		{"20 of 10,000, expressions", of(among(lastOf(20, byExpression))), -1},
	}
}

type measuredPolicy struct {
	name        string
	interceptor *authz.Interceptor
	allow       float64 // allocations; -1 is not asserted
}

// BenchmarkAdmit is what a verdict costs a call that the last of 20 rules admits. The budget
// of the 99th percentile is 1 µs with rules of fields, and 100 µs with 10,000 rules of any
// sort.
func BenchmarkAdmit(b *testing.B) {
	for _, m := range measured() {
		b.Run(m.name, func(b *testing.B) {
			inside(b, func(pass func(hauberk.Interceptor) error) {
				b.ReportAllocs()
				for b.Loop() {
					if err := pass(m.interceptor); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				b.ReportMetric(float64(percentile99(func() { _ = pass(m.interceptor) })), "p99-ns")
			})
		})
	}
}

// percentile99 returns the 99th percentile of the time of f.
func percentile99(f func()) time.Duration {
	times := make([]time.Duration, 20_000)
	for i := range times {
		start := time.Now()
		f()
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[len(times)*99/100]
}

// BenchmarkReject is what a rejection costs, without its way over the wire.
func BenchmarkReject(b *testing.B) {
	x := authz.New(authz.Config{Policy: authz.Policy{Allow: lastOf(19, bySubject)}})
	serve := server(b, login{}, x)
	ctx := request{id: alice}
	b.ReportAllocs()
	for b.Loop() {
		_ = serve(ctx)
	}
}

// BenchmarkRivals compares the same policy, 20 rules by a header of which the last one
// matches: of this package, of grpc-go's own, and as a switch by hand.
func BenchmarkRivals(b *testing.B) {
	var rules []string
	for i := range 20 {
		value := byMetadata(i).Metadata[0].Values[0]
		rules = append(rules, fmt.Sprintf(
			`{"name": "r%d", "request": {"paths": ["/hauberk.test.v1.TestService/*"], "headers": [{"key": "x-env", "values": [%q]}]}}`, i, value))
	}
	text := `{"name": "p", "allow_rules": [` + strings.Join(rules, ",") + `]}`
	p, err := authz.ParseGRPC([]byte(text))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("authz", func(b *testing.B) {
		x := authz.New(authz.Config{Policy: p})
		inside(b, func(pass func(hauberk.Interceptor) error) {
			b.ReportAllocs()
			for b.Loop() {
				if err := pass(x); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("switch", func(b *testing.B) {
		inside(b, func(pass func(hauberk.Interceptor) error) {
			b.ReportAllocs()
			for b.Loop() {
				if err := pass(hauberk.Func(byHand)); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("grpc-go", func(b *testing.B) {
		static, err := grpcauthz.NewStatic(text)
		if err != nil {
			b.Fatal(err)
		}
		r := request{method: unary, md: metadata.Pairs("x-env", "prod")}
		ctx := grpc.NewContextWithServerTransportStream(withValues{callContext(b), r.context()}, methodStream(r.method))
		handler := func(context.Context, any) (any, error) { return nil, nil }
		b.ReportAllocs()
		for b.Loop() {
			if _, err := static.UnaryInterceptor(ctx, nil, nil, handler); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// byHand allows what the policy of BenchmarkRivals does.
func byHand(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if call.Method().Service() == "hauberk.test.v1.TestService" {
		for _, value := range call.Metadata(ctx, "x-env") {
			switch value {
			case "prod", "env-0", "env-1", "env-2", "env-3", "env-4", "env-5", "env-6", "env-7", "env-8", "env-9", "env-10",
				"env-11", "env-12", "env-13", "env-14", "env-15", "env-16", "env-17", "env-18":
				return next(ctx, call)
			}
		}
	}
	return status.Error(codes.PermissionDenied, "no")
}

// A verdict by fields costs no allocation, except for the copy of metadata that grpc-go makes.
func TestAllocations(t *testing.T) {
	for _, m := range measured() {
		if m.allow < 0 {
			continue
		}
		inside(t, func(pass func(hauberk.Interceptor) error) {
			got := testing.AllocsPerRun(1000, func() {
				if err := pass(m.interceptor); err != nil {
					t.Fatal(err)
				}
			})
			if got > m.allow {
				t.Errorf("%s: %v allocations, budget %v", m.name, got, m.allow)
			}
		})
	}
}
