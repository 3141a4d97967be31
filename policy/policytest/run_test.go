package policytest_test

import (
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const proofs = `
version: 1
server:
  - use: authn
    jwt:
      - {issuer: https://issuer.example, audience: shop, algorithms: [ALG], jwks_url: https://issuer.example/keys,
         roles_claim: realm_access.roles, tenant_claim: tid, required_claims: {plan: [gold]}}
    mtls: {dns_names: [.example.org], trust_domains: [shop.example]}
  - use: authz
    rules:
      - {name: readers, allow: shop.v1.Cart/Get, roles: [reader]}
      - {name: machines, allow: shop.v1.Cart/Pay, when: "identity.method == 'mtls'"}
      - {name: tests, allow: shop.v1.Cart/Test, when: "identity.method == 'test'"}
client:
  - {use: retry, methods: [shop.v1.Cart/Get], max_attempts: 2, initial_backoff: 1ms}
`

const proven = `
cases:
  - name: a token is verified by the settings of its issuer
    method: shop.v1.Cart/Get
    identity: {subject: a, method: jwt, roles: reader, tenant: t, claims: {plan: gold}}
  - name: claims are required
    method: shop.v1.Cart/Get
    identity: {subject: a, method: jwt, roles: reader, tenant: t}
    want: {code: UNAUTHENTICATED, reason: INVALID_TOKEN}
  - name: other issuers are unknown
    method: shop.v1.Cart/Get
    identity: {subject: a, method: jwt, issuer: "https://other.example", roles: reader, tenant: t, claims: {plan: gold}}
    want: {code: UNAUTHENTICATED, reason: INVALID_TOKEN}
  - name: a certificate with a DNS name
    method: shop.v1.Cart/Pay
    identity: {subject: a.example.org, method: mtls}
  - name: a certificate with a SPIFFE ID
    method: shop.v1.Cart/Pay
    identity: {subject: "spiffe://shop.example/a", method: mtls}
  - name: a certificate of another domain
    method: shop.v1.Cart/Pay
    identity: {subject: "spiffe://other.example/a", method: mtls}
    want: {code: UNAUTHENTICATED, reason: INVALID_CERTIFICATE}
  - name: the policy has no keys
    method: shop.v1.Cart/Pay
    identity: {subject: a, method: api key}
    want: {code: UNAUTHENTICATED, reason: MISSING_TOKEN}
  - name: without a method the identity is verified
    method: shop.v1.Cart/Test
    identity: {subject: a}
  - name: streams are retried
    method: shop.v1.Cart/Get
    kind: server_stream
    identity: {subject: a, roles: reader}
    before: [{method: shop.v1.Cart/Get, identity: {subject: a, roles: reader}, upstream: UNAVAILABLE, calls: 2}]
    upstream: [UNAVAILABLE, OK]
    want: {attempts: 2}
  - name: the status of the service is returned
    method: shop.v1.Cart/Test
    identity: {subject: a}
    upstream: NOT_FOUND
    want: {code: NOT_FOUND, reason: "", attempts: 1}
`

// authn verifies the credentials of the cases with the settings of the policy, for each algorithm of tokens, and the
// chain for the client makes the calls to the service.
func TestCredentials(t *testing.T) {
	cases, err := policytest.Parse("cases.yaml", []byte(proven))
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{"ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "HS512"} {
		t.Run(algorithm, func(t *testing.T) {
			text := []byte(strings.Replace(proofs, "ALG", algorithm, 1))
			if algorithm == "HS512" { // an issuer with a secret, which the test replaces
				text = []byte(strings.Replace(string(text), "jwks_url: https://issuer.example/keys", "secret_file: secret", 1))
			}
			report, err := policytest.Run(cases, func(opts ...policy.Option) (*policy.Policy, error) {
				return policy.Parse("policy.yaml", text, append(opts, policy.WithLogger(slog.New(slog.DiscardHandler)))...)
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range report.Results {
				if r := &report.Results[i]; !r.Passed() {
					t.Errorf("line %d: %s: %v %q: %s, %d attempts; want %+v",
						r.Line, r.Name, r.GotCode, r.GotReason, r.GotMessage, r.GotAttempts, r.Want)
				}
			}
		})
	}
}
