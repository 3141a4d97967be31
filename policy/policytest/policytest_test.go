package policytest_test

import (
	"fmt"

	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
)

const file = `
version: 1
server:
  - {use: rate_limit, by: peer, limit: 2/1m}
  - use: authn
    jwt: {issuer: https://issuer.example, audience: [shop], algorithms: [RS256], jwks_url: https://issuer.example/keys}
  - use: authz
    rules:
      - {name: buyers, allow: shop.v1.Cart/*, when: "'buyer' in identity.roles"}
      - {name: stock, allow: shop.v1.Stock/*}
`

func load(opts ...policy.Option) (*policy.Policy, error) {
	return policy.Parse("policy.yaml", []byte(file), opts...)
}

// A service tests its policy as part of its other tests.
func Example() {
	cases, err := policytest.Parse("cases.yaml", []byte(`
version: 1
cases:
  - name: a buyer reads
    method: shop.v1.Cart/Get
    identity: {subject: alice, roles: [buyer]}
  - name: a buyer reads again
    method: shop.v1.Cart/Get
    identity: {subject: alice, roles: [buyer]}
    calls: 3
    want: {code: RESOURCE_EXHAUSTED, reason: RATE_LIMITED}
  - name: a seller reads
    method: shop.v1.Cart/Get
    identity: {subject: bob, roles: [seller]}
    want: OK
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := policytest.Run(cases, load, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range report.Results {
		r := &report.Results[i]
		fmt.Printf("%s: %t, %v %q\n", r.Name, r.Passed(), r.GotCode, r.GotReason)
	}
	fmt.Println(report.Failed(), report.Unreached)
	// Output:
	// a buyer reads: true, OK ""
	// a buyer reads again: true, ResourceExhausted "RATE_LIMITED"
	// a seller reads: false, PermissionDenied "ACCESS_DENIED"
	// 1 [line 10: authz: stock]
}
