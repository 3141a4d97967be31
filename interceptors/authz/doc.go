// Package authz authorizes calls on servers by rules that allow and rules that deny.
//
//	chain, err := hauberk.New(
//		authn.New(authn.Config{}, authnjwt.New(…)),
//		authz.New(authz.Config{Policy: authz.Policy{
//			Allow: []authz.Rule{
//				{Name: "buyers", Methods: []string{"shop.v1.Cart/*"}, Roles: []string{"buyer"}},
//				{Name: "support", Methods: []string{"shop.v1.Cart/Get"}, When: `identity.claims.team == "support"`},
//			},
//			Deny: []authz.Rule{
//				{Name: "outside", Methods: []string{"shop.v1.Admin/*"}, When: `!client_addr.in_cidr("10.0.0.0/8")`},
//			},
//		}}),
//	)
//
// # Verdicts
//
// A call is admitted if no rule of Deny and at least one rule of Allow matches it. What no rule
// allows is rejected, methods that the server does not have too. Calls of the methods in
// [hauberk.Config.Public] pass without a rule.
//
// A server or proxy may read a name that is not well-formed, such as "/shop.v1.Cart/Get;x" or
// "/shop.v1.Cart/../shop.v1.Admin/Drop", as that of another method. Of the patterns in Methods of
// a rule of Allow only "*" matches such a name. Each pattern in Methods of a rule of Deny does.
// Paths are compared as texts.
//
// [WithPolicy] adds rules that .proto files state.
//
// A rejected call ends with PERMISSION_DENIED, "Permission denied", and the reason
// ACCESS_DENIED, for every rule alike. Nothing of the policy is sent. No inner interceptor
// runs, and the request is not read. In the process errors.Is finds [ErrDenied]. The rejection
// is recorded ([hauberk.Call.Decisions]) with the name of the rule, or [NoRule]. If an expression
// has failed, or a rule of Deny matches only because an attribute is missing, the cause of the
// rejection says so with the rule and the failure. Interceptors that log errors log it; clients do
// not receive it. It has no value of the call, which can be a secret.
//
// # Missing attributes
//
// A missing attribute never satisfies a rule of Allow and never escapes a rule of Deny. These
// are missing:
//
//   - every field of the identity, if the call has no [hauberk.Identity] or one without Subject;
//   - an issuer or tenant that is empty. Scopes and roles are sets: an empty set is not missing;
//   - a metadata key without a value;
//   - the address of a client without an IP address;
//   - the names of a client without TLS, and those in a certificate that was not verified;
//   - everything that makes an expression fail: a claim that does not exist or has another type, a
//     cost above [Config.MaxCost], a stream that ends without a first message.
//
// So Deny with Tenants "evil" denies callers without a tenant as well. A field that does not
// match decides before one that is missing.
//
// # Expressions
//
// [Rule.When] is an expression in CEL (cel.dev) that returns a bool. It is evaluated if the
// other fields of the rule match. Its variables are
//
//   - method and service: strings such as "/shop.v1.Cart/Get" and "shop.v1.Cart";
//   - identity: has the fields subject, issuer, tenant and method (strings), scopes and roles
//     (lists of strings) and claims (a map). has(identity.subject) is false if there is none;
//   - claims: a short form of identity.claims. It is missing if the identity has none;
//   - metadata: a map from keys in lower case to lists of values;
//   - client_addr: the client's IP address, a string;
//   - now: the time, a timestamp in UTC;
//   - request: the first request message, with the type that the method has, if [Rule.Request]
//     is set.
//
// In addition to CEL's standard functions there is in_cidr: client_addr.in_cidr("10.0.0.0/8").
// Types are checked by [New]. These are errors because their meaning is easily mistaken:
//
//   - matches with a pattern that can match a part of a value: write "^(admin|root)$";
//   - matches and in_cidr with a pattern that is not a literal;
//   - an index into the values of a metadata key, since the caller chooses their order: write
//     metadata["x"].all(v, …) in a rule of Allow, exists in one of Deny;
//   - a metadata key that is not in lower case, that no call can have, or that is not a literal:
//     in an index, in has and in the operator in, and what a key is compared with.
//
// # The request
//
// Rules are evaluated on the headers first. A rule with [Rule.Request] reads the first message
// ([hauberk.Call.ReadFirst]) only if the others leave the verdict open. The handler starts after
// the verdict and receives the message as usual. A client that waits for the server before it
// sends its first message waits until its deadline; in hauberk.Shadow no call waits, and a stream is
// judged when its handler receives the first message. If the message cannot be read, the call
// ends with the status of that. The requests of methods that the server does not have are
// missing. New checks an expression with the types of the requests if the program links the
// .proto file: it must fit the request of a method that a pattern names, and at least one request
// of a service that a pattern names. For other requests an expression that does not fit fails.
//
// # Cost
//
// Only rules that name the method of a call are evaluated, however many others there are. Their
// list is made at the first call of a method. A verdict by fields allocates nothing, except for
// the copy of the values of each metadata key. The cost of an expression is counted, which triples
// its time, only if it uses the request or a value beyond what the estimate of [Config.MaxCost]
// assumes, unless no call can make it exceed the limit.
package authz
