package policy_test

import (
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk/policy"
)

// A change is listed once if all methods have it, and says whether it may loosen the policy.
func TestDiff(t *testing.T) {
	limit := func(rest string) string {
		return "version: 1\nserver:\n  - {use: rate_limit, limit: 10/1s" + rest + "}\n"
	}
	tests := []struct {
		name, old, next string
		want            []string
	}{
		{"the same", limit(""), limit(""), nil},
		{"the layout", limit(""), "version: 1\n\nserver: [{limit: 10/1s, use: rate_limit}]", nil},
		{"removed", limit(""), "version: 1", []string{" rate_limit (old line 3) does not run any more loosens"}},
		{"added", "version: 1", limit(""), []string{" rate_limit (line 3) runs now"}},
		{"added in shadow", "version: 1", limit(", mode: shadow"), []string{
			" rate_limit (line 3) runs now in the mode shadow",
		}},
		{"enforced", limit(", mode: shadow"), limit(""), []string{
			" rate_limit (line 3) is in the mode enforce now, not shadow",
		}},
		{"a setting", limit(""), limit(", burst: 5"), []string{" rate_limit (line 3): burst: 5, was not set loosens"}},
		{"no setting", limit(", burst: 5"), limit(""), []string{
			" rate_limit (line 3): burst is not set any more, was 5 loosens",
		}},
		{"one method less", limit(""), limit(", except: hauberk.policy.test.v1.Cart/Pay"), []string{
			"/hauberk.policy.test.v1.Cart/Pay rate_limit (old line 3) does not run any more loosens",
		}},
		{"public", "version: 1", "version: 1\npublic: hauberk.policy.test.v1.Cart/Get", []string{
			"/hauberk.policy.test.v1.Cart/Get is public now loosens",
		}},
		{"trusted proxies", "version: 1\ntrusted_proxies: 10.0.0.0/8", "version: 1\ntrusted_proxies: [10.0.0.0/8, 0.0.0.0/0]", []string{
			" trusted_proxies: [10.0.0.0/8, 0.0.0.0/0], was 10.0.0.0/8 loosens",
		}},
		{"texts of errors", "version: 1\nexpose_errors: true", "version: 1\nerror_domain: shop.example", []string{
			" error_domain: shop.example, was not set", " expose_errors is not set any more, was true",
		}},
		{
			"gateway",
			"version: 1\ngateway: {listen: \"127.0.0.1:1\", upstream: \"127.0.0.1:2\", strip_metadata: [x-user]}",
			"version: 1\ngateway: {listen: \"127.0.0.1:1\", upstream: \"127.0.0.1:3\"}",
			[]string{
				" gateway.upstream: 127.0.0.1:3, was 127.0.0.1:2",
				" gateway.strip_metadata is not set any more, was [x-user] loosens",
			},
		},
		{"not public", "version: 1\npublic: '*'", "version: 1", []string{" is not public any more"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, c := range policy.Diff(parse(t, test.old), parse(t, test.next), shop()...) {
				line := c.Method + " " + c.What
				if c.MayLoosen {
					line += " loosens"
				}
				got = append(got, line)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("changes %q; want %q", got, test.want)
			}
		})
	}
}
