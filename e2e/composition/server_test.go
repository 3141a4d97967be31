package composition_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/errs"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
	"github.com/hauberk-rpc/hauberk/interceptors/version"
)

// serverOrder is the order of a server, outermost first, as docs/production.md has it. Those of caches have one place, and
// so have those that record failures.
var serverOrder = []string{
	"requestid", "tracing", "metrics", "logging", "report", "audit", "recovery", "serving", "ratelimit by peer", "deadline",
	"version", "authn", "field", "authz", "ratelimit by user", "cache", "coalesce", "idempotency", "concurrency",
	"validate", "errs",
}

var textKey = hauberk.NewKey[string]("text")

// serverParts returns the interceptors of a server. Users are called as their tokens, and "guest" may do nothing.
func serverParts() map[string]hauberk.Interceptor {
	all := []string{"*"}
	users := authn.Bearer(func(_ context.Context, token string) (*authn.Identity, error) {
		return &authn.Identity{Subject: token}, nil
	})
	return map[string]hauberk.Interceptor{
		"requestid":         requestid.New(requestid.Config{}),
		"tracing":           tracing.New(tracing.Config{}),
		"metrics":           metrics.New(metrics.Config{}),
		"logging":           logging.New(logging.Config{}),
		"report":            report.New(report.Config{}, func(context.Context, report.Incident) {}),
		"audit":             audit.New(audit.Config{}, audit.SinkFunc(func(context.Context, audit.Record) error { return nil })),
		"recovery":          recovery.New(recovery.Config{}),
		"serving":           serving.New(serving.Config{Initial: serving.Serving}),
		"field":             field.Set(textKey, field.String("text")),
		"errs":              errs.New(errs.Config{}, errs.NewTable("shop.example")),
		"ratelimit by peer": ratelimit.New(ratelimit.Config{Limit: 100, Per: time.Hour}),
		"deadline":          deadline.New(deadline.Config{Max: time.Hour}),
		"version":           version.New(version.Config{}),
		"authn":             authn.New(authn.Config{}, users),
		"authz": authz.New(authz.Config{Policy: authz.Policy{
			Allow: []authz.Rule{{Methods: all}},
			Deny:  []authz.Rule{{Methods: all, When: `identity.subject == "guest"`}},
		}}),
		"ratelimit by user": ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.User()}),
		"cache":             cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: true}),
		"coalesce":          coalesce.New(coalesce.Config{Methods: all}),
		"idempotency":       idempotency.New(idempotency.Config{Methods: all}),
		"concurrency":       concurrency.New(concurrency.Config{Limit: 10, By: callkey.User()}),
		"validate":          validate.New(validate.Config{}),
	}
}

// TestServerPairs: of each two interceptors of a server, Lint accepts the usual order. It reports the other one with
// the reason, unless New rejects it, since state is read before it is written.
func TestServerPairs(t *testing.T) {
	conventions := map[string]bool{ // without a reason
		"recovery": true, "validate": true, "metrics": true,
	}
	places := map[string]string{
		"cache": "caches", "coalesce": "caches", "idempotency": "caches", "logging": "records", "report": "records",
	}
	for i, outer := range serverOrder {
		for _, inner := range serverOrder[i+1:] {
			if places[outer] != "" && places[outer] == places[inner] ||
				places[outer] == "caches" && (inner == "concurrency" || inner == "validate") {
				continue // they have one place, and caches may also run inside of these two
			}
			parts := serverParts()
			list := []hauberk.Interceptor{parts["authn"], parts[outer], parts[inner]}
			reversed := []hauberk.Interceptor{parts["authn"], parts[inner], parts[outer]}
			if outer == "authn" || inner == "authn" || !readsUser(outer) && !readsUser(inner) {
				list, reversed = list[1:], reversed[1:]
			}
			chain, err := hauberk.New(list...)
			if err != nil && !readsUser(inner) {
				t.Errorf("%s outside %s: %v", outer, inner, err)
			}
			if err == nil && len(pairs(chain, outer, inner)) > 0 {
				t.Errorf("%s outside %s: %+v", outer, inner, chain.Lint(hauberk.ServerSide))
			}
			chain, err = hauberk.New(reversed...)
			if err != nil {
				if !strings.Contains(err.Error(), "before it is written") {
					t.Errorf("%s inside %s: %v", outer, inner, err)
				}
				continue
			}
			got := pairs(chain, inner, outer)
			reason := "usually runs inside: "
			if conventions[outer] || conventions[inner] {
				reason = "usually runs inside"
			}
			if len(got) != 1 || !strings.Contains(got[0].Message, reason) {
				t.Errorf("%s inside %s: %+v, want a finding with its reason", outer, inner, got)
			}
		}
	}
}

// readsUser reports whether an interceptor needs authn outside.
func readsUser(name string) bool {
	return name == "authz" || name == "ratelimit by user" || name == "concurrency"
}

// pairs returns the findings about two interceptors, by the names of the test.
func pairs(chain *hauberk.Chain, outer, inner string) (findings []hauberk.Finding) {
	is := func(title, name string) bool {
		first, _, _ := strings.Cut(name, " ")
		return strings.HasPrefix(title, first)
	}
	for _, f := range chain.Lint(hauberk.ServerSide) {
		if is(f.Outer, outer) && is(f.Inner, inner) {
			findings = append(findings, f)
		}
	}
	return findings
}

// serve starts a server with a chain of its parts, and returns a function that calls it as a user.
func serve(t *testing.T, names ...string) (chain *hauberk.Chain, call func(user string) error) {
	t.Helper()
	parts := serverParts()
	list := make([]hauberk.Interceptor, len(names))
	for i, name := range names {
		list[i] = parts[name]
	}
	chain, err := hauberk.New(list...)
	if err != nil {
		t.Fatal(err)
	}
	env := hauberktest.Start(t, hauberktest.Setup{Server: chain})
	return chain, func(user string) error {
		ctx := t.Context()
		if user != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+user)
		}
		return env.Call(ctx).Err
	}
}

// TestServerCache: in the usual order a cached answer reaches callers that are allowed and within their limit. A cache
// outside of authz answers those that it would reject, as Lint says.
func TestServerCache(t *testing.T) {
	chain, call := serve(t, "authn", "authz", "ratelimit by user", "cache", "idempotency", "concurrency")
	for _, c := range []struct {
		user string
		want codes.Code
	}{
		{"alice", codes.OK}, {"alice", codes.ResourceExhausted}, {"bob", codes.OK}, {"guest", codes.PermissionDenied}, {"", codes.Unauthenticated},
	} {
		if err := call(c.user); status.Code(err) != c.want {
			t.Errorf("%q got %v, want %v", c.user, err, c.want)
		}
	}
	if findings := chain.Lint(hauberk.ServerSide); len(findings) > 0 {
		t.Errorf("findings: %+v", findings)
	}

	chain, call = serve(t, "authn", "cache", "authz")
	for _, user := range []string{"alice", "guest"} {
		if err := call(user); err != nil {
			t.Errorf("%q got %v", user, err)
		}
	}
	findings := chain.Lint(hauberk.ServerSide)
	if len(findings) != 1 || !strings.Contains(findings[0].Message, "it answers callers that the inner one would reject") {
		t.Errorf("findings: %+v", findings)
	}
}
