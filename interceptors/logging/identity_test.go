package logging_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// A server logs the caller with the claims that are named, and null for a call or a claim without a value.
func TestIdentity(t *testing.T) {
	caller := &hauberk.Identity{
		Subject: "anna", Tenant: "acme", Method: "jwt", Roles: []string{"buyer"},
		Claims: map[string]any{"plan": "gold", "level": 3.0, "secret": "x", "large": strings.Repeat("x", 5000)},
	}
	for name, test := range map[string]struct {
		id     *hauberk.Identity
		config logging.Identity
		want   any
	}{
		"off":    {caller, logging.Identity{Claims: []string{"plan"}}, "not logged"},
		"none":   {nil, logging.Identity{On: true}, nil},
		"on":     {caller, logging.Identity{On: true}, `map[method:jwt roles:[buyer] subject:anna tenant:acme]`},
		"claims": {caller, logging.Identity{On: true, Claims: []string{"plan", "level", "none", "large"}}, `map[claims:map[level:3 none:<nil> plan:gold] method:jwt roles:[buyer] subject:anna tenant:acme]`},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				j := newJournal()
				env := c.Start(t, logging.New(logging.Config{Identity: test.config}, j.option()),
					hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
						if test.id != nil {
							hauberk.IdentityKey.Set(call, test.id)
						}
						return next(ctx, call)
					}), hauberk.Declaration{Name: "authn", Writes: []hauberk.StateKey{hauberk.IdentityKey}}))
				_ = env.Call(t.Context())
				env.Server.GracefulStop()
				got, logged := j.only(t)[logging.KeyIdentity]
				switch {
				case c.Side == hauberk.ClientSide || test.want == "not logged":
					if logged {
						t.Errorf("logged %v", got)
					}
				case test.want == nil:
					if !logged || got != nil {
						t.Errorf("logged %t %v; want null", logged, got)
					}
				default:
					if text := fmt.Sprint(got); text != test.want {
						t.Errorf("logged %s; want %s", text, test.want)
					}
				}
			})
		})
	}
}
