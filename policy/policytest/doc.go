// Package policytest runs cases against a policy file without a server: calls of callers with their credentials, and
// the outcomes that are expected. It also reports the rules of authz that decided no case. `hauberk test` runs it, and
// the tests of examples/policies read the same files.
//
//	version: 1
//	cases:
//	  - name: a buyer reads the cart
//	    method: shop.v1.Cart/Get
//	    identity: {subject: alice, method: jwt, roles: [buyer]}
//	  - name: a caller without a credential
//	    method: shop.v1.Cart/Get
//	    peer: 192.0.2.1
//	    metadata: {x-version: "2"}
//	    want: {code: UNAUTHENTICATED, reason: MISSING_TOKEN}
//	  - name: the third payment within a minute
//	    method: shop.v1.Cart/Pay
//	    identity: {subject: alice, roles: [buyer]}
//	    message: {amount: 3}            # needs descriptors
//	    calls: 3                        # want is the outcome of the last one
//	    want: RESOURCE_EXHAUSTED
//	  - name: a read is retried
//	    method: shop.v1.Cart/Get
//	    identity: {subject: alice, roles: [buyer]}
//	    upstream: [UNAVAILABLE, OK]
//	    want: {attempts: 2}
//
// # The file
//
// version is 1, which is the default. cases is a list of at least one and at most [MaxCases] cases. Each case begins
// with the policy as it is after it was loaded: with full quotas and closed circuits.
//
// The keys of a case are
//
//   - name: what the case shows. Two cases must not have the same name. The default is the method;
//   - method: the method, "shop.v1.Cart/Get". Required;
//   - kind: unary, client_stream, server_stream or bidi_stream. The default is what the descriptors say, or unary;
//   - identity: the caller, see below. Without it the call has no credential, and authn decides;
//   - metadata: the request metadata. Each value is a text or a list of texts;
//   - peer: the address of the client's connection, with or without a port. The default is 127.0.0.1:1;
//   - time: the time of the call, in RFC 3339. The default is the time of the call before it, and for the first call
//     the current time. The time does not change otherwise;
//   - message: the request, as JSON in YAML. It needs the descriptors of the services. The default is an empty message;
//   - calls: how many times the call is made, from 1 to [MaxCalls]. want is for the last one. The default is 1;
//   - before: calls that are made before, a list with the keys of a case except name, before and want;
//   - upstream: the codes of the successive calls that reach the service, one or a list. The last one is repeated. The
//     handler then makes a call of the same method through the chain for the client, and returns its status. Without
//     upstream and want.attempts the handler returns OK, and the chain for the client does not run;
//   - want: the outcome, a code, or a map with the keys
//     code (default OK),
//     reason (that of the rejection; "" for an outcome that is no rejection; by default it is not compared) and
//     attempts (how many calls reach the service because of the last call; by default they are not compared).
//     The default is OK.
//
// # Identities
//
// The keys of identity are subject (required), issuer, tenant, roles, scopes, claims, which are those in addition to
// the other fields, and method, which is how the caller proves it:
//
//   - jwt: by a token. authn verifies it as always, with the issuers, audiences, required claims and names of claims of
//     the policy. Only the keys of the issuers are replaced by one that the test has. The default of issuer is the
//     first issuer of the policy;
//   - mtls: by a certificate with subject as its URI, or as its DNS name if it is no URI. Issuer, tenant, roles,
//     scopes and claims are not possible;
//   - api key: by a key of this identity. authn accepts it if the policy has api_keys;
//   - without method the identity is in place of what authn verifies: its settings are not tested.
package policytest
