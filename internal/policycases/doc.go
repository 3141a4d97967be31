// Package policycases reads files of cases: calls with credentials, and what a service with the chains of a policy
// answers. The tests of examples/policies read them. The cases of `hauberk test` (package policytest) have another
// format: they have identities in place of credentials, and no service.
//
//	version: 1
//	cases:
//	  - name: a buyer reads a cart
//	    method: shop.v1.Cart/Get
//	    identity: {subject: anna, issuer: "https://issuer.example", roles: [buyer]}
//	  - name: the third call of a minute is rejected
//	    method: shop.v1.Cart/Get
//	    metadata: {x-plan: trial}
//	    repeat: 3
//	    want: {code: RESOURCE_EXHAUSTED, reason: RATE_LIMITED}
//
// A case begins with the policy as it is after it was loaded: without used permits, and with closed circuits. Its keys:
//
//   - name: what the case shows. It is required, and unique in the file;
//   - method: the method, "package.Service/Method". It is required;
//   - kind: unary (default), client_stream, server_stream or bidi_stream;
//   - identity: the caller, with subject (required), issuer, tenant, method ("jwt" by default, "mtls" or "api key"),
//     scopes, roles and claims. Without identity the call has no credential. Claims are those in addition to the
//     other fields;
//   - metadata: the request metadata, each value a text or a list of texts;
//   - peer: the address of the client's connection, "203.0.113.7:50000" by default;
//   - time: when the call begins, in RFC 3339;
//   - message: the first request message, as JSON in YAML;
//   - before: calls that are made before, a list with these keys except name, before and want;
//   - repeat: how many times the call is made, 1 by default. want is for the last one;
//   - upstream: the codes of the successive calls that reach the service, such as [UNAVAILABLE, OK]. The last one is
//     repeated. The default is OK. It shows what the client's chain does;
//   - want: the outcome, with code (OK by default), reason (that of the rejection, "" by default), and attempts, which
//     is how many calls reach the service because of the last call. By default attempts are not compared.
package policycases
