package authz_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
)

// secretPolicy has names and values that no client may see.
var secretPolicy = authz.Policy{
	Allow: []authz.Rule{{Name: "secret allow", Methods: []string{tests}, Metadata: []authz.MetadataMatch{{Key: "secret-key", Values: []string{"secret"}}}}},
	Deny:  []authz.Rule{{Name: "secret deny", Methods: []string{tests}, Metadata: []authz.MetadataMatch{{Key: "deny", Values: []string{"secret"}}}, AbsentPasses: true}},
}

// A rejection has one status for every cause. The rule is in the decision, and nothing of
// the policy on the wire.
func TestRejection(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		var decisions []hauberk.Decision
		var seen error
		ended := make(chan struct{}, 1)
		observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			seen = next(ctx, call)
			decisions = call.Decisions().All()
			ended <- struct{}{}
			return seen
		})
		backend, served := counting()
		env := c.StartWith(t, backend, observe, authz.New(authz.Config{Policy: secretPolicy}))
		call := func(pairs ...string) hauberktest.Outcome {
			out := env.Call(metadata.AppendToOutgoingContext(t.Context(), pairs...))
			<-ended
			return out
		}
		for rule, pairs := range map[string][]string{
			authz.NoRule:  {"secret-key", "other"},
			"secret deny": {"secret-key", "secret", "deny", "other", "deny", "secret"},
		} {
			out := call(pairs...)
			st := status.Convert(out.Err)
			if st.Code() != codes.PermissionDenied || st.Message() != "Permission denied" || hauberk.Reason(out.Err) != authz.ReasonDenied {
				t.Errorf("%s: got %v, reason %q", rule, out.Err, hauberk.Reason(out.Err))
			}
			for _, text := range []string{st.Proto().String(), fmt.Sprint(out.Header, out.Trailer)} {
				if strings.Contains(strings.ToLower(text), "secret") {
					t.Errorf("%s: the client sees %q", rule, text)
				}
			}
			if !errors.Is(seen, authz.ErrDenied) {
				t.Errorf("%v is not ErrDenied", seen)
			}
			want := hauberk.Decision{Interceptor: "authz", Rule: rule, Verdict: hauberk.Rejected, Reason: authz.ReasonDenied}
			if len(decisions) != 1 || decisions[0] != want {
				t.Errorf("decisions %+v, want %+v", decisions, want)
			}
		}
		wantCode(t, call("secret-key", "secret").Err, codes.OK)
		if len(decisions) != 1 || decisions[0].Verdict != hauberk.Allowed || decisions[0].Rule != "" {
			t.Errorf("decisions %+v", decisions)
		}
		if served.Load() != 1 {
			t.Errorf("%d calls were served, want 1", served.Load())
		}
	})
}

// A call is rejected on its header alone.
func TestRejectedBeforeTheRequest(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		env := c.Start(t, authz.New(authz.Config{Policy: secretPolicy}))
		wantCode(t, open(t, env, c.Kind).RecvMsg(new(testpb.Response)), codes.PermissionDenied)
	})
}

// The rule that admits a call is recorded by configuration.
func TestRecordAllowed(t *testing.T) {
	p := authz.Policy{Allow: []authz.Rule{{Methods: []string{"x/y"}}, {Methods: []string{"*"}}}}
	var decisions []hauberk.Decision
	serve := server(t, authz.New(authz.Config{Policy: p, RecordAllowed: true}))
	wantCode(t, serve(request{handled: func(ctx context.Context) {
		decisions = hauberk.FromContext(ctx).Decisions().Recorded()
	}}), codes.OK)
	want := hauberk.Decision{Interceptor: "authz", Rule: "Allow[1]", Verdict: hauberk.Allowed}
	if len(decisions) != 1 || decisions[0] != want {
		t.Errorf("decisions %+v, want %+v", decisions, want)
	}
}

// In shadow no call is rejected, and those that would be are counted.
func TestShadow(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		shadow := hauberk.Shadow(authz.New(authz.Config{Policy: secretPolicy}))
		decisions := make(chan []hauberk.Decision, 2)
		observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			decisions <- call.Decisions().Recorded()
			return err
		})
		env := c.Start(t, observe, shadow)
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
		if got := <-decisions; len(got) != 1 || !got[0].Shadow || got[0].Rule != authz.NoRule {
			t.Errorf("decisions %+v", got)
		}
		wantCode(t, env.Call(metadata.AppendToOutgoingContext(t.Context(), "secret-key", "secret")).Err, codes.OK)
		if got := <-decisions; len(got) != 0 {
			t.Errorf("decisions %+v", got)
		}
		if n := shadow.Rejections(); n != 1 {
			t.Errorf("%d rejections, want 1", n)
		}
	})
}

// Public methods need no rule, and abstaining is not a decision.
func TestPublic(t *testing.T) {
	eachKind(t, func(t *testing.T, c hauberktest.Case) {
		env := c.With(hauberk.Config{Public: []string{tests}}).Start(t, authz.New(authz.Config{Policy: authz.Policy{
			Allow: []authz.Rule{{Methods: []string{"grpc.x/y"}}}, Deny: []authz.Rule{{Methods: []string{"*"}}},
		}}))
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
	})
}

// Unknown methods are rejected like known ones, unless a rule allows them.
func TestUnknownMethods(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			const nowhere = "/hauberk.nowhere.v1.Nothing/Do"
			allow := func(patterns ...string) *hauberktest.Env {
				return hauberktest.Case{Kind: kind}.Start(t,
					authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{{Methods: patterns}}}}))
			}
			wantCode(t, allow(tests).Do(t.Context(), nowhere, []*testpb.Request{{}}).Err, codes.PermissionDenied)
			wantCode(t, allow("*").Do(t.Context(), nowhere, []*testpb.Request{{}}).Err, codes.Unimplemented)
			wantCode(t, allow("grpc.x/y").Call(t.Context()).Err, codes.PermissionDenied)
		})
	}
}

// A name that is not well-formed never satisfies a pattern of Allow except "*", and never escapes a rule of Deny: the
// next server or proxy may read it as the name of another method.
func TestUnclearNames(t *testing.T) {
	service := strings.TrimSuffix(tests, "/*")
	pkg := service[:strings.LastIndexByte(service, '.')] + ".*"
	unary := []authz.Rule{{Methods: []string{service + "/Unary"}}}
	for _, test := range []struct {
		name   string
		policy authz.Policy
		want   codes.Code
	}{
		{"package", authz.Policy{Allow: []authz.Rule{{Methods: []string{pkg}}}}, codes.PermissionDenied},
		{"service", authz.Policy{Allow: []authz.Rule{{Methods: []string{tests}}}}, codes.PermissionDenied},
		{"all", authz.Policy{Allow: []authz.Rule{all()}}, codes.Unimplemented},
		{"all but one", authz.Policy{Allow: []authz.Rule{all()}, Deny: unary}, codes.PermissionDenied},
		{"paths", authz.Policy{Allow: []authz.Rule{{Paths: []string{"/" + service + "/*"}}}}, codes.Unimplemented},
	} {
		t.Run(test.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			env := hauberktest.Case{Kind: hauberk.Unary}.Start(t, authz.New(authz.Config{Policy: test.policy}))
			for _, name := range []string{"/Unary;x", "/Unary?x", "/%55nary", "/../" + service + "/Unary", "/Unary/"} {
				err := env.Do(t.Context(), "/"+service+name, []*testpb.Request{{}}).Err
				if status.Code(err) != test.want {
					t.Errorf("%s: %v; want %v", name, err, test.want)
				}
			}
		})
	}
}

// Rules that read the identity are rejected ahead of authentication, others are not.
func TestOrder(t *testing.T) {
	rules := map[string]authz.Rule{
		"field":      {Subjects: []string{"alice"}},
		"expression": {When: `identity.subject == "alice"`},
		"has":        {When: `has(identity.subject)`},
		"request":    {When: `request.text == identity.subject`, Request: true},
	}
	for name, rule := range rules {
		rule.Methods = []string{"*"}
		x := authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{all()}, Deny: []authz.Rule{rule}}})
		if _, err := hauberk.New(x, login{}); err == nil || !strings.Contains(err.Error(), `authz reads the state "identity" before it is written`) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := hauberk.New(x); err == nil {
			t.Errorf("%s: a chain without authentication was accepted", name)
		}
		if _, err := hauberk.New(login{}, x); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	x := authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{all()}}})
	if _, err := hauberk.New(x); err != nil {
		t.Error(err)
	}
}

// An interceptor for servers is not attached to a client.
func TestClientSide(t *testing.T) {
	chain := hauberk.Must(hauberk.New(authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{all()}}})))
	if findings := chain.Lint(hauberk.ClientSide); len(findings) != 1 {
		t.Errorf("findings %v", findings)
	}
}

// Coverage lists the methods that are authenticated and that no rule allows.
func TestCoverage(t *testing.T) {
	env := hauberktest.Case{}.Start(t)
	for want, pattern := range map[int]string{0: "*", 3: "hauberk.test.v1.TestService/Unary", 4: "x.Y/Z"} {
		x := authz.New(authz.Config{Policy: authz.Policy{Allow: []authz.Rule{{Methods: []string{pattern}}}}})
		chain := hauberk.Must(hauberk.New(login{}, x))
		if got := chain.Coverage(env.Server.GetServiceInfo()).WithoutRule(); len(got) != want {
			t.Errorf("%s: without a rule %q, want %d", pattern, got, want)
		}
	}
}
