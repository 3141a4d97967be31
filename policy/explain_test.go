package policy_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An explanation has the entries of both sides in their order, with those that do not run and the reason.
func TestExplain(t *testing.T) {
	p := parse(t, `
version: 1
public: hauberk.policy.test.v1.Catalog/*
server:
  - {use: request_id}
  - {use: rate_limit, id: off, limit: 1/1s, mode: off}
  - {use: recovery, methods: hauberk.policy.test.v1.Cart/*, except: hauberk.policy.test.v1.Cart/Pay}
  - {use: rate_limit, limit: 1/1s, mode: shadow}
client:
  - {use: deadline, max: 30s, except: [a.B/*, hauberk.policy.test.v1.Cart/Get]}
`)
	tests := []struct {
		method string
		public bool
		want   []string
	}{
		{"hauberk.policy.test.v1.Cart/Get", false, []string{
			"request_id true for every method",
			"rate_limit false its mode is off",
			"recovery true in methods: [hauberk.policy.test.v1.Cart/*]; not in except: [hauberk.policy.test.v1.Cart/Pay]",
			"rate_limit true in shadow: decides and does not enforce",
			"deadline false in except: [a.B/*, hauberk.policy.test.v1.Cart/Get]",
		}},
		{"/hauberk.policy.test.v1.Cart/Pay", false, []string{
			"request_id true for every method",
			"rate_limit false its mode is off",
			"recovery false in except: [hauberk.policy.test.v1.Cart/Pay]",
			"rate_limit true in shadow: decides and does not enforce",
			"deadline true not in except: [a.B/*, hauberk.policy.test.v1.Cart/Get]",
		}},
		{"hauberk.policy.test.v1.Catalog/Read", true, []string{
			"request_id true for every method",
			"rate_limit false its mode is off",
			"recovery false not in methods: [hauberk.policy.test.v1.Cart/*]",
			"rate_limit true in shadow: decides and does not enforce",
			"deadline true not in except: [a.B/*, hauberk.policy.test.v1.Cart/Get]",
		}},
	}
	for _, test := range tests {
		t.Run(test.method, func(t *testing.T) {
			e, err := p.Explain(test.method)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range append(e.Server, e.Client...) {
				got = append(got, fmt.Sprint(s.Use, " ", s.Runs, " ", s.Why))
			}
			if diff := cmp.Diff(test.want, got); diff != "" || e.Public != test.public {
				t.Errorf("public is %v; %s", e.Public, diff)
			}
		})
	}
	for _, method := range []string{"", "Get", "shop.v1.Cart/", "/"} {
		if e, err := p.Explain(method); err == nil {
			t.Errorf("Explain(%q) is %v; want an error", method, e)
		}
	}
}

// An entry with methods leaves all others alone, also if its interceptor takes methods in addition to those that .proto
// files mark.
func TestMethodsOfEntry(t *testing.T) {
	for _, use := range []string{"cache, ttl: 1m", "coalesce", "hedge", "idempotency", "retry", "retry, all_methods: true"} {
		p := parse(t, "version: 1\nclient:\n  - {use: "+use+", methods: shop.v1.Cart/Get}\n")
		for method, want := range map[string]bool{"/shop.v1.Cart/Get": true, "/shop.v1.Cart/List": false} {
			e, err := p.Explain(method)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Client[0].Runs; got != want {
				t.Errorf("%s: %s: runs %t, want %t", use, method, got, want)
			}
		}
	}
}
