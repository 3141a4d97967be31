package decisiontrace_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func TestConfiguration(t *testing.T) {
	ops, by := []string{"ops"}, decisiontrace.By(authn.User)
	for _, test := range []struct {
		name string
		x    hauberk.Interceptor
		want string // in the error; empty for none
	}{
		{"minimum", decisiontrace.New(decisiontrace.Config{Identities: ops}, by), ""},
		{"own keys", decisiontrace.New(decisiontrace.Config{Identities: ops, Request: "X-Why", Trailer: "X-Because"}, by), ""},
		{"no identities", decisiontrace.New(decisiontrace.Config{}, by), "Config.Identities is empty"},
		{"empty identity", decisiontrace.New(decisiontrace.Config{Identities: []string{"ops", ""}}, by), "Config.Identities[1] is empty"},
		{"pattern", decisiontrace.New(decisiontrace.Config{Identities: []string{"*"}}, by), `Config.Identities[0] is the pattern "*"`},
		{"no key", decisiontrace.New(decisiontrace.Config{Identities: ops}), "want By(authn.User)"},
		{"zero key", decisiontrace.New(decisiontrace.Config{Identities: ops}, decisiontrace.By(hauberk.Key[string]{})), "want By(authn.User)"},
		{"reserved key", decisiontrace.New(decisiontrace.Config{Identities: ops, Request: "grpc-why"}, by), `Config.Request is "grpc-why"`},
		{"pseudo-header", decisiontrace.New(decisiontrace.Config{Identities: ops, Request: ":path"}, by), `Config.Request is ":path"`},
		{"binary key", decisiontrace.New(decisiontrace.Config{Identities: ops, Trailer: "why-bin"}, by), `Config.Trailer is "why-bin"`},
		{"MaxBytes too small", decisiontrace.New(decisiontrace.Config{Identities: ops, MaxBytes: 255}, by), "Config.MaxBytes is 255; want 256 to 65536"},
		{"MaxBytes too large", decisiontrace.New(decisiontrace.Config{Identities: ops, MaxBytes: 65537}, by), "Config.MaxBytes is 65537"},
		{"MaxBytes negative", decisiontrace.New(decisiontrace.Config{Identities: ops, MaxBytes: -1}, by), "Config.MaxBytes is -1"},
		{"zero Interceptor", &decisiontrace.Interceptor{}, "make it with decisiontrace.New"},
		{"in shadow", hauberk.Shadow(decisiontrace.New(decisiontrace.Config{Identities: ops}, by)), "cannot be put in Shadow"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := hauberk.New(test.x)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v; want one with %q", err, test.want)
			}
		})
	}
}

// Changes of the Config after New have no effect.
func TestConfigIsCopied(t *testing.T) {
	config := decisiontrace.Config{Identities: []string{"ops"}}
	x := decisiontrace.New(config, decisiontrace.By(authn.User))
	config.Identities[0] = ""
	if _, err := hauberk.New(x); err != nil {
		t.Error(err)
	}
}

// placed is an interceptor with a phase that calls next.
type placed hauberk.Phase

func (p placed) Declare() hauberk.Declaration { return hauberk.Declaration{Phase: hauberk.Phase(p)} }

func (placed) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

// Lint accepts the outermost place.
func TestOrder(t *testing.T) {
	limit := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Second})
	rest := []hauberk.Interceptor{placed(hauberk.PhaseMetrics), placed(hauberk.PhaseLogging), guard(), limit, bearer()}
	id := requestid.New(requestid.Config{})
	for _, first := range [][]hauberk.Interceptor{{traces(), id}, {id, traces()}} {
		for _, f := range hauberk.Must(hauberk.New(append(first, rest...)...)).Lint(hauberk.ServerSide) {
			t.Errorf("%+v", f)
		}
	}
	findings := hauberk.Must(hauberk.New(bearer(), traces())).Lint(hauberk.ServerSide)
	if len(findings) != 1 || findings[0].Inner != "decisiontrace" {
		t.Errorf("inside authentication: %+v; want one finding", findings)
	}
}
