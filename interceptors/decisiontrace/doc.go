// Package decisiontrace lets a server tell callers of named identities what its
// interceptors decided on their calls, in a trailer. No one else is told.
//
// A caller asks by sending the metadata "hauberk-decisions: 1" ([Ask]). If the
// identity that the chain has authenticated is one of [Config.Identities], the
// trailer of the call, whatever its outcome, has under "hauberk-decisions" one value
// of JSON in printable ASCII:
//
//	{"decisions":[
//	  {"interceptor":"authn","verdict":"allowed"},
//	  {"interceptor":"ratelimit","rule":"10/1s of each user","verdict":"rejected","reason":"RATE_LIMITED"},
//	  {"interceptor":"authz","rule":"...","verdict":"rejected","reason":"NOT_ALLOWED","shadow":true}
//	],"omitted":2}
//
// on one line and without spaces. "rule" and "reason" are left out where they are
// empty, "shadow" where the verdict was enforced, and "omitted", how many decisions
// there was no room for, where that is none. [Parse] reads it.
//
// The trace has the rules, which [hauberk.Decision] keeps for operators: the
// identities are operators, not customers. A call that the chain did not
// authenticate, or not any more, gets no trace: rejected ahead of authentication, of
// a public method, of an authenticating interceptor in [hauberk.Shadow], of a token that
// has expired meanwhile.
//
// The interceptor stands outermost, further out than package requestid, so that no
// decision is made after it has told.
package decisiontrace
