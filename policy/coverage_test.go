package policy_test

import (
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/policy"
)

const jwt = `jwt: {issuer: https://issuer.example, audience: [shop], algorithms: [RS256], jwks_file: jwks.json}`

// A method is open unless an entry that is in force authenticates its callers, or public has it.
func TestCoverage(t *testing.T) {
	tests := []struct {
		name, file string
		want       policy.Access
		noRule     bool
	}{
		{"no authentication", "server: [{use: recovery}]", policy.Unprotected, false},
		{"authenticated", "server: [{use: authn, " + jwt + "}]", policy.Authenticated, false},
		{"in shadow", "server: [{use: authn, mode: shadow, " + jwt + "}]", policy.Unprotected, false},
		{"off", "server: [{use: authn, mode: off, " + jwt + "}]", policy.Unprotected, false},
		{
			"another method",
			"server: [{use: authn, methods: hauberk.policy.test.v1.Cart/Pay, " + jwt + "}]", policy.Unprotected, false,
		},
		{"public", "public: ['*']\nserver: [{use: authn, " + jwt + "}]", policy.Public, false},
		{"public without authentication", "public: ['*']", policy.Public, false},
		{
			"no rule",
			"server: [{use: authn, " + jwt + "}, {use: authz, rules: {allow: hauberk.policy.test.v1.Cart/Pay}}]",
			policy.Authenticated, true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := parse(t, "version: 1\n"+test.file).Coverage(shop()...)
			found := false
			for _, row := range c.Rows {
				if row.Method != "/hauberk.policy.test.v1.Cart/Get" {
					continue
				}
				found = true
				if row.Access != test.want || row.NoRule != test.noRule || len(row.Runs) != len(c.Entries) {
					t.Errorf("access %v, no rule %v, %d columns; want %v, %v, %d",
						row.Access, row.NoRule, len(row.Runs), test.want, test.noRule, len(c.Entries))
				}
			}
			if !found {
				t.Error("Cart/Get has no row")
			}
			err := c.Err()
			open := err != nil && strings.Contains(err.Error(), "hauberk.policy.test.v1.Cart/Get is neither ")
			if open != (test.want == policy.Unprotected) {
				t.Errorf("error %v; the access is %v", err, test.want)
			}
		})
	}
}

// Patterns without a method are problems, and nothing else is wrong with a complete policy.
func TestCoverageErr(t *testing.T) {
	c := parse(t, "version: 1\npublic: [a.B/*, '*']").Coverage(shop()...)
	if err := c.Err(); err == nil || err.Error() != `Config.Public("a.B/*") matches no method` {
		t.Errorf("error %v", err)
	}
	if err := parse(t, "version: 1\npublic: '*'").Coverage(shop()...).Err(); err != nil {
		t.Error(err)
	}
}

// Problems divides the lines of an error, and keeps those without a place.
func TestProblems(t *testing.T) {
	_, err := policy.Parse("a:b.yaml", []byte("version: 2\nservr: []\n"))
	got := policy.Problems(err)
	if len(got) != 2 || got[0].File != "a:b.yaml" || got[0].Line != 1 || got[0].Column != 10 ||
		!strings.HasPrefix(got[0].Message, "version is ") || got[1].Line != 2 {
		t.Errorf("problems %+v of %v", got, err)
	}
	if got := policy.Problems(nil); got != nil {
		t.Errorf("problems %v of nil", got)
	}
}
