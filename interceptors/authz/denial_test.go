package authz_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// TestCause: the cause of a rejection distinguishes a rule that matches from one whose expression failed
// and from one that an attribute is missing for. The log has it, and the client does not.
func TestCause(t *testing.T) {
	const failed = "expression failed: no such key: team"
	when := func(text string) authz.Rule {
		return authz.Rule{Name: "team-x", Methods: []string{tests}, When: text}
	}
	tenant := authz.Rule{Name: "evil", Methods: []string{tests}, Tenants: []string{"evil"}}
	subject := authz.Rule{Name: "alice", Methods: []string{tests}, Subjects: []string{"alice"}}
	deny := func(r authz.Rule) authz.Policy {
		return authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{r}}
	}
	allow := func(rules ...authz.Rule) authz.Policy { return authz.Policy{Allow: rules} }
	for name, c := range map[string]struct {
		policy     authz.Policy
		rule, want string // want is the cause after ErrDenied
	}{
		"deny matches":          {deny(subject), "alice", ""},
		"deny by expression":    {deny(when(`identity.subject == "alice"`)), "team-x", ""},
		"deny fails":            {deny(when(`identity.claims.team == "x"`)), "team-x", `the rule "team-x" denies the call, since its ` + failed},
		"deny without a value":  {deny(tenant), "evil", `the rule "evil" denies the call, since an attribute is missing`},
		"allow does not match":  {allow(when(`identity.subject == "bob"`)), authz.NoRule, ""},
		"allow fails":           {allow(when(`identity.claims.team == "x"`)), authz.NoRule, `the expression of the rule "team-x" failed: no such key: team`},
		"claims fail":           {allow(when(`claims.team == "x"`)), authz.NoRule, `the expression of the rule "team-x" failed: no such key: team`},
		"the first that fails":  {allow(when(`identity.claims.team == "x"`), authz.Rule{Methods: []string{tests}, When: `identity.claims.other == "x"`}), authz.NoRule, `the expression of the rule "team-x" failed: no such key: team`},
		"request does not fit":  {allow(authz.Rule{Name: "team-x", Methods: []string{"*"}, Request: true, When: `request.acount == "x"`}), authz.NoRule, `the expression of the rule "team-x" failed: it does not fit the requests of the method: 1:8: undefined field 'acount'`},
		"allow fails and deny":  {authz.Policy{Allow: []authz.Rule{when(`identity.claims.team == "x"`)}, Deny: []authz.Rule{subject}}, "alice", ""},
		"allow fails then deny": {authz.Policy{Allow: []authz.Rule{when(`identity.claims.team == "x"`), onRequest(`request.text == "x"`)}, Deny: []authz.Rule{{Name: "d", Methods: []string{tests}, Request: true, When: `request.text == "m"`}}}, "d", ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, cell hauberktest.Case) {
				var log bytes.Buffer
				var seen error
				var decisions []hauberk.Decision
				ended := make(chan struct{}, 1)
				observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					seen = next(ctx, call)
					decisions = call.Decisions().All()
					return seen
				})
				done := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					defer func() { ended <- struct{}{} }()
					return next(ctx, call)
				})
				alice := login{&hauberk.Identity{Subject: "alice", Claims: map[string]any{}}}
				logs := logging.New(logging.Config{}, logging.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				env := cell.Start(t, done, logs, observe, alice, authz.New(authz.Config{Policy: c.policy}))
				out := env.Call(t.Context(), "m")
				<-ended
				wantCode(t, out.Err, codes.PermissionDenied)
				if text := status.Convert(out.Err).Proto().String(); strings.Contains(text, "team") || strings.Contains(text, "evil") || hauberk.Reason(out.Err) != authz.ReasonDenied {
					t.Errorf("the client sees %q", text)
				}
				rejection := hauberk.RejectionOf(seen)
				if rejection == nil || !errors.Is(seen, authz.ErrDenied) {
					t.Fatalf("the outcome is %v", seen)
				}
				want := authz.ErrDenied.Error()
				if c.want != "" {
					want += ": " + c.want
				}
				if rejection.Cause.Error() != want {
					t.Errorf("the cause is %q; want %q", rejection.Cause, want)
				}
				if c.want != "" && !strings.Contains(strings.ReplaceAll(log.String(), `\"`, `"`), c.want) {
					t.Errorf("the log is %s; want %q in it", log.String(), c.want)
				}
				if len(decisions) != 1 || decisions[0].Rule != c.rule || decisions[0].Verdict != hauberk.Rejected {
					t.Errorf("decisions %+v; want the rule %q", decisions, c.rule)
				}
			})
		})
	}
}

// TestFailureHasNoValue: the cause of a rejection has no value of the call, which can be a secret, however an
// expression fails.
func TestFailureHasNoValue(t *testing.T) {
	const secret = "s3cret-canary"
	for when, want := range map[string]string{
		`metadata["x-api-key"].all(v, timestamp(v) < now)`:                               "it cannot use a value of the call",
		`metadata["x-api-key"].all(v, now.getHours(v) > 3)`:                              "it cannot use a value of the call",
		`metadata["x-api-key"].all(v, now.getHours("+99:" + v) > 3)`:                     "it cannot use a value of the call",
		`metadata["x-api-key"].all(v, identity.claims[v] == 1)`:                          "no such key: one that the call has",
		`metadata["x-api-key"].all(v, {"a": 1}[v] == 1)`:                                 "no such key: one that the call has",
		`metadata["x-api-key"].all(v, int(v) > 3)`:                                       "type conversion error from 'string' to 'int'",
		`metadata["x-api-key"].all(v, duration(v) < duration("1h"))`:                     "type conversion error from 'string' to",
		`metadata["x-api-key"].all(v, [1][int(v.size())] == 1)`:                          "",
		`metadata["x-api-key"].all(v, identity.claims.none == v)`:                        "no such key: none",
		`metadata["x-api-key"].all(v, identity.tenant == v)`:                             "the identity has no tenant",
		`metadata["x-api-key"].all(v, v.size() / (v.size() - v.size()) == 1)`:            "division by zero",
		`metadata["x-api-key"].all(v, identity.claims.name + 1 == identity.claims.name)`: "no such overload",
	} {
		t.Run(when, func(t *testing.T) {
			var seen error
			observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				seen = next(ctx, call)
				return seen
			})
			who := login{&hauberk.Identity{Subject: "alice", Claims: map[string]any{"name": secret}}}
			policy := authz.Policy{Allow: []authz.Rule{{Methods: []string{tests}, When: when}}}
			env := hauberktest.Case{Side: hauberk.ServerSide}.Start(t, observe, who, authz.New(authz.Config{Policy: policy}))
			err := env.Call(metadata.AppendToOutgoingContext(t.Context(), "x-api-key", secret)).Err
			wantCode(t, err, codes.PermissionDenied)
			rejection := hauberk.RejectionOf(seen)
			if rejection == nil || rejection.Cause == nil {
				t.Fatalf("the outcome is %v", seen)
			}
			if cause := rejection.Cause.Error(); strings.Contains(cause, secret) || !strings.Contains(cause, want) {
				t.Errorf("the cause is %q; want %q, and no value", cause, want)
			}
		})
	}
}

// TestRequestsOfServices: an expression fits at least one request of a service that a pattern
// names, and that of each method that a pattern names.
func TestRequestsOfServices(t *testing.T) {
	for pattern, c := range map[string]struct{ when, want string }{
		tests:                              {`request.acount == "x"`, "for the requests of " + tests + ": 1:8: undefined field 'acount'"},
		strings.TrimPrefix(unary, "/"):     {`request.acount == "x"`, "undefined field 'acount'"},
		"hauberk.test.v1.*":                {`request.acount == "x"`, ""},
		"shop.v1.Cart/*":                   {`request.acount == "x"`, ""},
		"grpc.health.v1.Health/*":          {`request.service == "x"`, ""},
		"hauberk.test.v1.TestService/Bidi": {`request.text == "x"`, ""},
	} {
		config := authz.Config{Policy: authz.Policy{Allow: []authz.Rule{{Methods: []string{pattern}, Request: true, When: c.when}}}}
		if c.want != "" {
			wantErr(t, config, c.want)
		} else if _, err := hauberk.New(authz.New(config)); err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
