package callcel_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hauberk-rpc/hauberk/internal/callcel"
)

// What an expression reads is found, with its literal keys.
func TestNeedsOf(t *testing.T) {
	for text, want := range map[string]callcel.Needs{
		`method == "a" && now > timestamp("2026-01-01T00:00:00Z")`: {},
		`identity.subject`:                                                {Identity: true},
		`"buyer" in identity.roles`:                                       {Identity: true},
		`claims.plan == "gold" && has(claims.level)`:                      {Identity: true, Claims: []string{"level", "plan"}},
		`identity.claims["plan"] == "gold" || "x" in claims`:              {Identity: true, Claims: []string{"plan", "x"}},
		`claims.exists(c, c == "a")`:                                      {Identity: true, AllClaims: true},
		`claims[method] == "a"`:                                           {Identity: true, AllClaims: true},
		`identity == identity`:                                            {Identity: true, AllClaims: true},
		`metadata["x-a"].exists(v, v == "1") && client_addr != "1.2.3.4"`: {Metadata: []string{"x-a"}, Address: true},
		`metadata.exists(k, k == "a")`:                                    {AllMetadata: true},
		`request.amount > 3`:                                              {Request: true},
		`no such thing`:                                                   {Identity: true, Address: true, Request: true, AllMetadata: true, AllClaims: true},
	} {
		if diff := cmp.Diff(want, callcel.NeedsOf(text)); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", text, diff)
		}
	}
}
