// Package policytest runs cases against a policy file without a server: calls of callers with their identities, and
// the verdicts that are expected. It also reports the rules of authz that no case has reached.
//
//	cases:
//	  - name: a buyer reads the cart
//	    method: shop.v1.Cart/Get
//	    identity: {subject: alice, claims: {roles: [buyer]}}
//	    want: OK
//	  - name: a caller without a credential
//	    method: shop.v1.Cart/Get
//	    peer: 192.0.2.1
//	    metadata: {x-version: "2"}
//	    want: {code: UNAUTHENTICATED, reason: CREDENTIAL_MISSING}
//	  - name: the third payment within a minute
//	    method: shop.v1.Cart/Pay
//	    identity: {subject: alice, roles: [buyer]}
//	    time: 2026-01-01T12:00:00Z
//	    message: {amount: 3}            # JSON; needs descriptors
//	    calls: 3                        # want is the verdict on the last one
//	    want: {code: RESOURCE_EXHAUSTED}
//
// Each case has a separate policy, so that quotas of one case do not affect another. The handler of the calls answers
// with OK. identity is in place of what authn verifies; a case without it is decided by authn.
package policytest
