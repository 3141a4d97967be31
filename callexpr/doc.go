// Package callexpr makes keys and costs of limits from expressions in CEL (cel.dev):
//
//	ratelimit.New(ratelimit.Config{
//		Limit: 1000, Per: time.Minute,
//		By:   callexpr.Key("plan", `identity.tenant + (method.endsWith("/Export") ? " export" : "")`),
//		Cost: ratelimit.Cost{Call: 10, Of: callexpr.Cost(`"admin" in identity.roles ? 1 : 10`)},
//	})
//
// Use the functions of package callkey where they are enough: they cost less, and programs that import
// callexpr link cel-go.
//
// # Variables
//
// Expressions are for calls of all kinds, on servers and clients. Their variables are those of
// expressions of interceptors/authz, except for the request, of which they have the fields that [WithField]
// names:
//
//   - method and service: strings such as "/shop.v1.Cart/Get" and "shop.v1.Cart";
//   - identity: has the fields subject, issuer, tenant and method (strings), scopes and roles
//     (lists of strings) and claims (a map). An expression with identity reads
//     [hauberk.IdentityKey]: [hauberk.New] rejects a chain in which no outer interceptor writes it, and
//     limits by such a key do not count public methods;
//   - claims: a short form of identity.claims. It is missing if the identity has none;
//   - metadata: a map from keys in lower case to lists of values, on a client that which it sends.
//     Clients can write any metadata: see package callkey;
//   - client_addr: the client's IP address, a string. Missing on a client;
//   - now: the time, a timestamp in UTC;
//   - fields.x: the field x of [WithField] in the first request, a string. An expression with it reads the
//     request: see package field.
//
// In addition to CEL's standard functions there are in_cidr, as in client_addr.in_cidr("10.0.0.0/8"),
// and last, the last entry of a list: metadata.plan.last() is the value that the nearest proxy wrote.
//
// # Errors
//
// hauberk.New reports what is wrong with an expression, with its text and the place: syntax, unknown
// variables and fields, types, an expression of more than [MaxExpression] bytes, one that can cost more
// than [MaxCost], and what authz rejects since its meaning is easily mistaken: patterns that match a
// part of a value or that are not literals, values of metadata by their place, and metadata keys that no
// call has.
//
// An evaluation fails if an attribute is missing, such as a claim, a metadata key, a field or the identity, if a
// claim has another type, or if it costs more than [MaxCost]. It never panics. [Key] and [Cost] say
// what a call without a value is counted by.
package callexpr
